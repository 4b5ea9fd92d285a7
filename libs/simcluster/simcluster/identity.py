"""Who calls: the user the server takes a request to come from.

There is no sign-in, so a caller is believed. Who says nothing is the cluster's administrator. The headers of
impersonation (`kubectl --as`, or `as:` under a user of a kubeconfig, which clients send over plain HTTP too) name
somebody else, and so does a bearer token: a service account's by its `sub`, any other by being the name.

The name is for admission webhooks, for `kubectl auth whoami` and, where the cluster goes by roles, for `authorization`;
otherwise nobody is refused anything for who they are.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson

_EXTRA = "impersonate-extra-"
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """A user as admission sees it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_user_info(self) -> dict[str, Any]:
        """Return the `UserInfo` of a review."""
        info: dict[str, Any] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {name: list(values) for name, values in self.extra.items()}
        return info


ADMINISTRATOR = User("simcluster", groups=("system:masters", "system:authenticated"))


def service_account(namespace: str, name: str) -> User:
    """Return a service account with the groups every one of them is in."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"{_SERVICE_ACCOUNT}{namespace}:{name}", groups=groups)


def user_of(headers: Mapping[str, str]) -> User:
    """Return the user that headers, their names in lower case, speak for."""
    name = headers.get("impersonate-user")
    if name:
        return _impersonated(name, headers)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return _named(_subject(token.strip()) or token.strip())
    return ADMINISTRATOR


def _impersonated(name: str, headers: Mapping[str, str]) -> User:
    plain = _named(name)
    groups = _listed(headers.get("impersonate-group", ""))
    return User(
        name,
        uid=headers.get("impersonate-uid", ""),
        groups=(*groups, "system:authenticated") if groups else plain.groups,
        extra={
            unquote(header.removeprefix(_EXTRA)): _listed(value)
            for header, value in headers.items()
            if header.startswith(_EXTRA)
        },
    )


def _named(name: str) -> User:
    namespace, _, account = name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if name.startswith(_SERVICE_ACCOUNT) and account:
        return service_account(namespace, account)
    return User(name, groups=("system:authenticated",))


def _listed(value: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in value.split(",") if each.strip())


def _subject(token: str) -> str:
    """Return the subject of a JSON web token, unverified; nothing when it is no such token."""
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return ""
    return str(claims.get("sub") or "") if isinstance(claims, dict) else ""
