"""Every rule, one after the other: what is refused first, what is changed after that.

No rule sees what another has changed, so the patches of two rules concern different places.
"""

from typing import Final

from muster_cluster.objects import Raw

from muster_integrations.admission.answers import Answer, Context, Rule
from muster_integrations.admission.marks import guard_marks
from muster_integrations.admission.portion_rules import forget_devices, keep_portions, refuse_machines, write_portions
from muster_integrations.admission.scheduling import choose_scheduler
from muster_integrations.admission.templates import guard_templates, warn_of_portions

RULES: Final[tuple[Rule, ...]] = (
    guard_marks,
    guard_templates,
    refuse_machines,
    write_portions,
    forget_devices,
    keep_portions,
    warn_of_portions,
    choose_scheduler,
)


def review(written: Raw, context: Context) -> Answer:
    """Return what all rules say of an object that is created or changed; the first refusal counts alone."""
    answers = [rule(written, context) for rule in RULES]
    refused = next((answer for answer in answers if answer.refusal), None)
    if refused is not None:
        return refused
    return Answer(
        patches=tuple(patch for answer in answers for patch in answer.patches),
        warnings=tuple(warning for answer in answers for warning in answer.warnings),
    )
