"""Reliance: which corroborated claims stand on the word of one disinterested government (rules, section 13). Pure.

That is no rule and no flag: allies and parties are editorial choices, and a government that has none in a story counts
as disinterested. A desk should see where everything hangs on that.
"""

from events.words import Policy, SourceKind, State
from service.verification.context import Context
from service.verification.in_force import Dossier
from service.verification.policy import evaluate
from service.verification.voices import Voices

_ONE = 1
_GOVERNMENTS = {SourceKind.GOVERNMENT, SourceKind.OFFICIAL}


def on_one_government(dossier: Dossier, context: Context, policy: Policy) -> bool:
    """Whether a claim is corroborated, by one disinterested origin, and that one is a government's word alone.

    Of the statements that count and are disinterested, all are of governments or officials (one origin: one
    government), and no authenticated evidence is disinterested.
    """
    verdict = evaluate(dossier, context, policy)
    if verdict.state is not State.CORROBORATED or verdict.because.rule == "assessed" or verdict.because.nd != _ONE:
        return False
    scene = context.at()
    voices = Voices(dossier.in_force(), scene, policy)
    heard = [voice for voice in voices.full_supports if voice.counts and voice.interest == "disinterested"]
    kinds = {scene.sources.source(voice.statement.speaker_id).kind for voice in heard}
    return kinds <= _GOVERNMENTS and all(item.interest == "interested" for item in voices.supporting)
