"""Carries one AdmissionReview to a webhook over HTTPS and brings the answer back.

A target is a URL or a Service. A Service is resolved by its Endpoints, as for one that stands outside the cluster:
whoever runs a webhook on this machine writes its address and port there. Its certificate must be valid for
`<service>.<namespace>.svc` and signed by the `caBundle`; without a bundle the machine's own authorities count.

Whatever goes wrong is a `CallFailed` with the reason: the webhook's failure policy decides what it means.
"""

import asyncio
import base64
import binascii
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import aiohttp
import orjson

from simcluster.resources import Object
from simcluster.webhooks import Webhook

Lookup = Callable[[str, str, str], Object | None]
"""Finds an object by kind, namespace and name."""


class CallFailed(Exception):
    """A webhook could not be asked, or its answer cannot be used."""


class _Address(NamedTuple):
    url: str  # where to connect to
    shown: str  # what people know it as
    host: str | None = None  # what its certificate must be for, if not for the host of the URL


class WebhookCalls:
    """Speaks to webhooks, keeping connections open between calls, until it is closed."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, webhook: Webhook, review: Object) -> Object:
        """Return the webhook's whole answer, an AdmissionReview it is to be hoped; raises CallFailed."""
        address = self._address(webhook.target)
        seconds = webhook.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._post(address, webhook, review)
        except TimeoutError:
            cause = "context deadline exceeded"
        except (aiohttp.ClientError, OSError) as error:
            cause = str(error) or type(error).__name__
        raise CallFailed(f'failed to call webhook: Post "{address.shown}?timeout={seconds}s": {cause}')

    async def close(self) -> None:
        """Close what is open; nothing can be asked afterwards."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, address: _Address, webhook: Webhook, review: Object) -> Object:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        request = self._session.post(
            address.url,
            params={"timeout": f"{webhook.timeout_seconds}s"},
            data=orjson.dumps(review),
            headers={"Content-Type": "application/json", "Accept": "application/json"}
            | ({"Host": address.host} if address.host else {}),
            ssl=_trusting(webhook.target.get("caBundle") or ""),
            server_hostname=address.host,
            allow_redirects=False,
        )
        async with request as response:
            body = await response.read()
        if response.status != 200:
            text = body[:200].decode(errors="replace")
            raise CallFailed(f"failed to call webhook: it answered {response.status}: {text}")
        return _parse(body)

    def _address(self, target: Object) -> _Address:
        if "url" in target:
            return _Address(target["url"], target["url"])
        service = target["service"]
        namespace, name, port = service["namespace"], service["name"], service["port"]
        host = f"{name}.{namespace}.svc"
        path = service.get("path") or ""
        return _Address(f"https://{self._endpoint(namespace, name, port)}{path}", f"https://{host}:{port}{path}", host)

    def _endpoint(self, namespace: str, name: str, port: int) -> str:
        """Return address and port behind a port of a Service."""
        service = self._lookup("services", namespace, name)
        if service is None:
            raise CallFailed(f'failed to call webhook: service "{name}" not found')
        ports = (service.get("spec") or {}).get("ports") or ()
        served = next((each for each in ports if each["port"] == port), None)
        if served is None:
            raise CallFailed(f'failed to call webhook: no service port {port} found for service "{name}"')
        for subset in (self._lookup("endpoints", namespace, name) or {}).get("subsets") or ():
            found = _port_number(subset, served.get("name") or "")
            if found is not None and subset.get("addresses"):
                return f"{subset['addresses'][0]['ip']}:{found}"
        raise CallFailed(f'failed to call webhook: no endpoints available for service "{name}"')


def _port_number(subset: Object, name: str) -> Any:
    """Return the number of a subset's port that bears the name of the Service's port."""
    return next((each["port"] for each in subset.get("ports") or () if (each.get("name") or "") == name), None)


def _parse(body: bytes) -> Object:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"failed to call webhook: the answer is not JSON: {error}") from None
    if not isinstance(answer, dict):
        raise CallFailed("failed to call webhook: the answer is not an object")
    return answer


@lru_cache(maxsize=64)
def _trusting(bundle: str) -> ssl.SSLContext:
    """Return what trusts the authorities of a bundle (PEM in base64) alone; CallFailed when it holds none."""
    try:
        text = base64.b64decode(bundle, validate=True).decode("ascii")
        return ssl.create_default_context(cadata=text or None)
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
        raise CallFailed(f"failed to call webhook: unable to load root certificates: {error}") from None
