"""What a device's own word does to the story of its command."""

from firmware_protocol.commands import Ack, AckResult
from gateway.command_ports import CommandRecord, HeardAck
from gateway.commands.open_commands import OpenCommand
from gateway.commands.story import Story
from gateway.core.answer import happening_of, is_late
from gateway.core.command import Happening, Phase


def judge_answers(story: Story, one: OpenCommand) -> None:
    """What the device said and nobody told yet, in its order; what it says again says nothing."""
    said = one.answered
    for answer in one.answers:
        _judge_one(answer, story, one.record, said)
        said = word_of(answer)


def _judge_one(answer: HeardAck, story: Story, record: CommandRecord, said: tuple[int, str] | None) -> None:
    ack, at_ms = answer.ack, answer.received_ms
    happening = happening_of(
        record.kind, ack, boot=record.boot, not_after_ms=record.not_after_ms, received_ms=at_ms
    )
    if story.is_settled or story.phase is Phase.ISSUED:
        _judge_settled(answer, story, record)
        return
    word: dict[str, bool | int | str] = {"result": ack.result.name.lower(), **_elapsed(ack)}
    reason = ack.reason or ""
    if happening is not None and story.happens(happening, at_ms, "device_ack", word, reason=reason):
        if happening is Happening.DONE_LATE:
            story.incident("executed_late", at_ms, {"not_after_ms": record.not_after_ms})
    elif said != word_of(answer):
        story.says(at_ms, "device_ack", {**word, "reason": reason})


def _judge_settled(answer: HeardAck, story: Story, record: CommandRecord) -> None:
    """Nothing leaves a settled phase; a device that says otherwise has done what it must not."""
    ack, at_ms = answer.ack, answer.received_ms
    if ack.result is not AckResult.EXECUTED:
        return
    if is_late(ack, not_after_ms=record.not_after_ms, received_ms=at_ms):
        if story.phase is not Phase.EXECUTED_LATE:
            story.incident("executed_late", at_ms, {"not_after_ms": record.not_after_ms})
    elif story.phase in (Phase.FAILED, Phase.REFUSED, Phase.ABANDONED):
        story.incident("evidence_contradicts_ack", at_ms, {"phase": story.phase.value})
    elif story.phase in (Phase.ISSUED, Phase.EXPIRED, Phase.CANCELLED):
        story.incident("ack_without_command", at_ms, {"phase": story.phase.value})


def word_of(answer: HeardAck) -> tuple[int, str]:
    """Result and reason."""
    return answer.ack.result, answer.ack.reason or ""


def _elapsed(ack: Ack) -> dict[str, int]:
    return {} if ack.elapsed_ms is None else {"executed_ms": ack.boot * 1000 + ack.elapsed_ms}
