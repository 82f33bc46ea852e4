"""Classic mistakes of commands: late, twice, forged, believed too early; and of who may give them."""

from tests.planted.plant import Edit, Plant

DEVICE, FLOW = "tests/unit/firmware_protocol", "tests/unit/gateway/commands"

COMMAND_PLANTS = (
    Plant(
        "no_expiry_in_the_device",
        "a command that hung in a network opens a bike when nobody stands there any more",
        f"{DEVICE}/test_obeying.py::test_an_expired_command_is_refused",
        (
            Edit(
                "firmware_protocol/verdict.py",
                "    if server_ms >= command.not_after_s * 1000:\n",
                "    if server_ms >= (command.not_after_s + 60) * 1000:\n",
            ),
        ),
    ),
    Plant(
        "no_expiry_before_publishing",
        "a claim that waited for a slow database leaves late",
        f"{FLOW}/test_dispatch.py::test_a_claim_that_comes_back_too_late_is_not_published",
        (
            Edit(
                "gateway/commands/dispatch.py",
                "flight is None or now_ms >= record.not_after_ms or (claim_is_old",
                "flight is None or (claim_is_old",
            ),
        ),
    ),
    Plant(
        "publish_before_recording_sent",
        "after a crash in between nobody knows that the frame has left",
        f"{FLOW}/test_dispatch.py::test_sent_is_recorded_before_a_byte_leaves",
        (
            Edit(
                "gateway/commands/dispatch.py",
                "        claimed = await ports.store.claim(",
                "        for one in ready:\n"
                "            lane, topic = shard_of(one.device_id), command_topic(one.device_id)\n"
                "            frame = signed_frame(one, keys[one.command_id])\n"
                "            ports.link.publish_command(lane, topic, frame, tag=None)\n"
                "        claimed = await ports.store.claim(",
            ),
        ),
    ),
    Plant(
        "later_evidence_first",
        "a bolt that opened and closed again, seen the other way round, is a bolt that stayed closed",
        "tests/unit/gateway/ingest/test_evidence_at_once.py"
        "::test_what_a_store_did_not_take_is_heard_before_what_came_later",
        (Edit("gateway/ingest/evidence_at_once.py", "            return AGAIN_S\n", "            pass\n"),),
    ),
    Plant(
        "one_shots_at_qos_1",
        "the broker keeps an unlock for a device that is away, and repeats it",
        f"{FLOW}/test_dispatch.py::test_one_shots_leave_with_qos_0_and_all_others_with_qos_1",
        (
            Edit(
                "gateway/commands/dispatch.py",
                "tag = None if is_one_shot(record) else record.command_id",
                "tag = record.command_id",
            ),
        ),
    ),
    Plant(
        "sent_again_after_a_crash_whatever_it_is",
        "hardware that does not remember ids opens twice",
        f"{FLOW}/test_dispatch.py"
        "::test_a_crash_between_record_and_publish_repeats_only_what_is_safe_to_repeat",
        (
            Edit(
                "gateway/commands/dispatch.py",
                "if record.phase is Phase.SENT and held and not is_sent_once(record, model):",
                "if record.phase is Phase.SENT and held:",
            ),
        ),
    ),
    Plant(
        "limit_asked_for_and_not_waited_for",
        "whoever presses without end is told so after the lock was opened",
        "tests/unit/api/routes/test_commands.py::test_an_impatient_person_is_slowed_down",
        (
            Edit(
                "gateway/commands/issue.py",
                "    if allowed is not None:\n        await allowed\n",
                "",
            ),
        ),
    ),
    Plant(
        "answer_put_off_and_never_told",
        "a device said that it opened, and nobody will ever read it",
        f"{FLOW}/test_take_acks.py::test_an_answer_whose_report_could_not_be_told_is_told_by_itself",
        (
            Edit(
                "gateway/commands/take_acks.py",
                "        await tell({one.record.command_id: nothing_more for one in untold}, moving)\n",
                "        assert untold is not None\n",
            ),
        ),
    ),
    Plant(
        "ack_taken_as_opening",
        "a rental starts although the bolt never moved",
        f"{FLOW}/test_take_acks.py::test_an_ack_is_not_an_opening",
        (
            Edit(
                "gateway/core/answer.py",
                "return Happening.ACK_EXECUTED if kind in SENSED else Happening.ACK_SUFFICES",
                "return Happening.ACK_SUFFICES",
            ),
        ),
    ),
    Plant(
        "no_fence_in_the_device",
        "an older command that was overtaken opens for somebody who has gone",
        f"{DEVICE}/test_verdict.py::test_it_is_obeyed_exactly_when_nothing_speaks_against_it",
        (
            Edit(
                "firmware_protocol/verdict.py",
                "    if command.kind in FENCED and command.fence <= taken_fence:\n        return Verdict.OLD_FENCE\n",
                "",
            ),
        ),
    ),
    Plant(
        "no_fence_in_evidence",
        "a report from before the command confirms it",
        "tests/unit/gateway/core/test_evidence.py::test_an_opening_counts_only_once_the_fence_is_reached",
        (
            Edit(
                "gateway/core/evidence.py",
                "    if place.last_fence < ordered.fence:\n        return _unreached(ordered, place, stamped)\n",
                "",
            ),
        ),
    ),
    Plant(
        "key_not_looked_up_when_refused",
        "the repetition of an unlock that worked is told that the bolt is open",
        f"{FLOW}/test_issue.py::test_a_key_that_stands_for_a_command_is_answered_before_any_condition",
        (
            Edit(
                "gateway/commands/issue.py",
                "        known = await ports.desk.already(wish.requested_by, _key_of(wish), digest)\n",
                "        known = None\n",
            ),
        ),
    ),
    Plant(
        "key_without_its_wish",
        "a key that is used for another wish answers with the wrong command",
        f"{FLOW}/test_issue.py::test_everything_that_is_asked_for_counts_in_the_digest",
        (
            Edit(
                "gateway/commands/issue.py",
                "        wish.slot,\n        wish.ttl_s,\n",
                "        wish.ttl_s,\n",
            ),
        ),
    ),
    Plant(
        "select_then_insert",
        "two people at once both get the slot that both have seen free",
        "tests/contract/test_command_races.py::test_of_many_that_want_a_slot_one_gets_it",
        (
            Edit(
                "gateway/stores/migrations/0006_commands.sql",
                "create unique index command_one_shot_in_flight on",
                "create index command_one_shot_in_flight on",
            ),
            Edit(
                "gateway/stores/migrations/0013_safer_commands.sql",
                "        on conflict (device_no, slot) where one_shot and settled_at is null do nothing\n",
                "",
            ),
        ),
    ),
    Plant(
        "retained_command",
        "the broker hands yesterday's unlock to whatever subscribes next",
        "tests/unit/gateway/mqtt/test_confirmed_publishing.py"
        "::test_with_a_tag_it_is_qos_1_and_the_answer_comes_back",
        (
            Edit(
                "gateway/mqtt/session.py",
                "PublishPacket(topic, payload).write()",
                "PublishPacket(topic, payload, retain=True).write()",
            ),
        ),
    ),
    Plant(
        "ids_remembered_in_memory_only",
        "after a loss of power the same frame opens a second time",
        f"{DEVICE}/test_obeying.py::test_after_a_loss_of_power_the_stored_answer_is_given_again",
        (
            Edit(
                "firmware_protocol/obeying.py",
                "return Obeyed(tuple(self._answers.values()), tuple(self._fences.items()))",
                "return Obeyed((), tuple(self._fences.items()))",
            ),
        ),
    ),
    Plant(
        "unsigned_welcome",
        "whoever can speak on the broker sets a device's time back and replays an unlock",
        f"{DEVICE}/test_obeying.py::test_a_device_with_a_key_ignores_plain_and_forged_welcomes",
        (
            Edit(
                "firmware_protocol/device_session.py",
                "self._obeying.open_welcome(payload) if self._obeying.has_key else",
                'self._obeying.open_welcome(payload) if payload[:1] == b"\\xd1" else',
            ),
        ),
    ),
    Plant(
        "another_operators_command",
        "who guesses or finds an id reads and takes back what others have ordered",
        "tests/unit/api/routes/test_commands.py::test_another_operator_neither_orders_nor_sees_nor_takes_back",
        (
            Edit(
                "api/routes/commands.py",
                "if found is None or found.operator_id != principal.operator_id:",
                "if found is None:",
            ),
        ),
    ),
    Plant(
        "the_token_chooses_its_algorithm",
        "anybody writes a token that says it needs no signature",
        "tests/unit/api/auth/test_tokens.py::test_a_hostile_token_is_refused_at_once",
        (
            Edit(
                "api/auth/tokens.py",
                '    raise BadToken("the token\'s algorithm is not accepted")\n',
                '    unsigned = {"verify_signature": False}\n'
                '    payload: bytes = _JWS.decode_complete(token, options=unsigned)["payload"]\n'
                "    return payload\n",
            ),
        ),
    ),
    Plant(
        "audit_hashes_not_compared",
        "who can write to the database changes what the log says he did",
        "tests/contract/test_audit.py::test_a_line_that_was_changed_breaks_the_chain_there",
        (
            Edit(
                "gateway/stores/audit.py",
                "        if hashlib.sha256(previous + audit_form(fields)).digest() != hashed:\n"
                '            return Broken(number, "says something else than was written")\n',
                "",
            ),
        ),
    ),
)
"""Each by a name of its own."""
