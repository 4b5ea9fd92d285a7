"""Role-based access control: whether rules let a user do something, as Kubernetes reads Roles and their bindings.

Pure: what there is of roles and bindings comes through `Lookup`. There are no rules that forbid. Pitfalls: a rule for
`pods` is not one for `pods/log`, and one for `*/log` is one for the logs of everything; names do not limit a list, a
watch or an ordinary creation, for these name nobody; a RoleBinding gives the rules of a ClusterRole in its own
namespace alone; paths that are no objects' are a matter of ClusterRoleBindings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simcluster.identity import User, service_account
from simcluster.resources import Object

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"

Lookup = Callable[[str, str | None], list[Object]]
"""All objects of a kind, as its plural, in a namespace (None: in all, or in none)."""


@dataclass(frozen=True)
class Deed:
    """What somebody wants to do: to a kind (`pods`, `pods/log`), or, where there is a `path`, to what is no object."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def sentence(self) -> str:
        """What cannot be done, as Kubernetes words it after the user's name."""
        if self.path:
            return f'cannot {self.verb} path "{self.path}"'
        place = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'cannot {self.verb} resource "{self.resource}" in API group "{self.group}" {place}'


def allows(user: User, deed: Deed, lookup: Lookup) -> bool:
    """Say whether a user may do something."""
    return MASTERS in user.groups or any(_covers(rule, deed) for rule in rules_of(user, deed.namespace, lookup))


def rules_of(user: User, namespace: str, lookup: Lookup) -> Iterator[Object]:
    """Yield every rule a user has in a namespace, or (empty) in the cluster as a whole."""
    bindings = lookup("clusterrolebindings", None)
    if namespace:
        bindings = [*bindings, *lookup("rolebindings", namespace)]
    for binding in bindings:
        if any(_is(subject, user) for subject in binding.get("subjects") or ()):
            yield from _rules(binding, lookup)


def _rules(binding: Object, lookup: Lookup) -> list[Object]:
    """Return the rules of the role a binding names; none when there is no such role (yet)."""
    wanted = binding.get("roleRef") or {}
    if wanted.get("kind") == "Role":
        roles = lookup("roles", binding["metadata"]["namespace"])
    else:
        roles = lookup("clusterroles", None)
    found = next((role for role in roles if role["metadata"]["name"] == wanted.get("name")), {})
    return list(found.get("rules") or ())


def _is(subject: Object, user: User) -> bool:
    name: str = subject.get("name", "")
    match subject.get("kind"):
        case "User":
            return name == user.name
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            return service_account(subject.get("namespace", ""), name).name == user.name
    return False


def _covers(rule: Object, deed: Deed) -> bool:
    if not _among(rule.get("verbs"), deed.verb):
        return False
    if deed.path:
        return any(_is_path(wanted, deed.path) for wanted in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _among(rule.get("apiGroups"), deed.group)
        and any(_is_resource(wanted, deed.resource) for wanted in rule.get("resources") or ())
        and (not names or deed.name in names)
    )


def _among(wanted: list[str] | None, value: str) -> bool:
    return wanted is not None and ("*" in wanted or value in wanted)


def _is_resource(wanted: str, resource: str) -> bool:
    _, _, part = resource.partition("/")
    return wanted in ("*", resource) or (bool(part) and wanted == f"*/{part}")


def _is_path(wanted: str, path: str) -> bool:
    return wanted == path or (wanted.endswith("*") and path.startswith(wanted[:-1]))
