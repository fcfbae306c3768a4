"""The links of the description: what can be done next with what an operation has just made (OpenAPI, link objects)."""

from collections.abc import Mapping

from events.schemas import Schema

_MAKES = {
    "openStory": "story_id",
    "registerSource": "source_id",
    "registerClaim": "claim_id",
    "recordStatement": "statement_id",
    "addEvidence": "evidence_id",
    "sendInquiry": "inquiry_id",
    "makeAssessment": "assessment_id",
    "recordPublication": "publication_id",
    "registerWebhook": "webhook_id",
}
"""Operations that make something, and the parameter by which others find it: it is the ``id`` of their receipt."""


def give(operations: Mapping[str, Schema]) -> None:
    """Link every operation that makes something to those that are about it."""
    for maker, parameter in _MAKES.items():
        if maker in operations:
            made = operations[maker]["responses"]["201"]
            made["links"] = {
                name: {"operationId": name, "parameters": {f"path.{parameter}": "$response.body#/id"}}
                for name, operation in operations.items()
                if any(each.get("name") == parameter for each in operation["parameters"])
            }
