"""What is said before and after a push to the Hugging Face hub."""

from __future__ import annotations

from shammah.protocol import PushReceipt, VersionView
from shammah.wording import count


def before_push(version: VersionView, repository: str, *, public: bool) -> str:
    """What becomes visible to whom, before it is."""
    taught = count(len(version.manifest.get("job", {}).get("examples", [])), "example")
    readers = "EVERYBODY can read it" if public else "only you and members of its organisation can"
    return (
        f"The adapter of version {version.number}, a model card and the name of its base "
        f"({version.base}) go to {repository}, where {readers}.\n"
        f"It was taught {taught}. Their text is not sent, but whoever can load the adapter "
        "can ask it for what it was taught."
    )


def pushed(receipt: PushReceipt) -> str:
    kind = "private" if receipt.private else "public"
    return f"version {receipt.version} is at {receipt.url} ({kind}, commit {receipt.commit[:7]})"
