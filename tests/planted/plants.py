"""Classic mistakes of such a gateway on the way of a report, from the device to the map."""

from tests.planted.plant import Edit, Plant

INGEST, EDGE, LIVE = "tests/unit/gateway/ingest", "tests/unit/gateway/mqtt", "tests/unit/api/live"

PLANTS = (
    Plant(
        "auto_ack",
        "what was read and not yet stored is lost with the process",
        f"{EDGE}/test_acknowledgement.py::test_nothing_is_acknowledged_before_the_flow_says_so",
        (
            Edit(
                "gateway/mqtt/lane_sessions.py",
                "        if inflow.reports:\n",
                "        self.acknowledge([one.delivery for one in inflow.reports])\n        if inflow.reports:\n",
            ),
        ),
    ),
    Plant(
        "ack_before_commit",
        "a crash between the two loses the batch",
        f"{INGEST}/test_laws.py::test_every_single_moment_of_one_batch_may_be_the_last",
        (
            Edit(
                "gateway/ingest/take_reports.py",
                "        unstored = await self._append(filing, admission)\n",
                "        ports.link.acknowledge([arrived.delivery for arrived in batch])\n"
                "        unstored = await self._append(filing, admission)\n",
            ),
        ),
    ),
    Plant(
        "receipt_of_the_highest_seq_only",
        "a gap below it is never sent again",
        f"{INGEST}/test_take_reports.py::test_kept_reports_are_receipted_by_their_whole_stamps",
        (
            Edit(
                "gateway/ingest/receipts.py",
                "    return kept\n",
                "    return kept and {max(kept, key=lambda stamp: (stamp.boot, stamp.seq)): None}\n",
            ),
        ),
    ),
    Plant(
        "no_receipt_for_what_came_again",
        "a device whose receipt was lost sends the report for ever",
        f"{INGEST}/test_take_reports.py::test_repeated_and_late_kept_reports_are_receipted_again",
        (
            Edit(
                "gateway/ingest/receipts.py",
                "        kept = _kept_stamps(reports) if reports.any_kept else None\n",
                "        kept = _kept_stamps(reports) if reports.advanced else None\n",
            ),
        ),
    ),
    Plant(
        "no_resubscribe",
        "a session that is present need not be subscribed: nothing is delivered any more",
        f"{EDGE}/test_session.py::test_every_connect_subscribes_and_a_forgotten_session_is_an_incident",
        (
            Edit(
                "gateway/mqtt/session.py",
                "        self._subscribe()\n\n    def _subscribe(self)",
                "        if packet.session_present:\n"
                "            self._phase = _Phase.LIVE\n"
                "            events.append(Subscribed())\n"
                "        else:\n"
                "            self._subscribe()\n\n    def _subscribe(self)",
            ),
        ),
    ),
    Plant(
        "clean_start",
        "whatever was queued while the gateway was away is thrown away",
        f"{EDGE}/test_session.py::test_connect_asks_for_a_session_that_lasts",
        (Edit("gateway/mqtt/session.py", "clean_start=False", "clean_start=True"),),
    ),
    Plant(
        "shared_subscription",
        "after a restart of the broker it delivers nothing, and order is lost",
        f"{EDGE}/test_acknowledgement.py::test_lanes_are_subscribed_by_their_own_plain_filters",
        (
            Edit(
                "gateway/mqtt/lane_sessions.py",
                "username, password, (report_filter(lane),))",
                'username, password, (f"$share/gateway/{report_filter(lane)}",))',
            ),
        ),
    ),
    Plant(
        "arrival_order_state",
        "a late report sets the live state back",
        "tests/unit/gateway/core/test_advance.py"
        "::test_order_repetition_and_delay_do_not_change_the_reported_state",
        (
            Edit(
                "gateway/core/advance.py",
                "        if boot < state.boot or (boot == state.boot and seq <= state.seq):\n",
                "        if boot == state.boot and seq == state.seq:\n",
            ),
        ),
    ),
    Plant(
        "receive_time_in_the_row",
        "the same frame delivered twice is two rows",
        "tests/unit/gateway/core/test_report_time.py"
        "::test_the_same_frame_of_a_full_device_is_always_filed_under_the_same_time",
        (
            Edit(
                "gateway/core/report_time.py",
                "        return _time_since_boot(report)\n",
                "        return RowTime(received_ms, False)\n",
            ),
        ),
    ),
    Plant(
        "default_redis_retry",
        "an effect whose reply is lost is executed again",
        "tests/contract/test_redis_link.py::test_a_command_without_an_answer_is_given_up_and_never_repeated",
        (
            Edit(
                "gateway/stores/redis_link.py",
                "        return await connection.send(packed, self._deadline_s + extra_s)\n",
                "        try:\n"
                "            return await connection.send(packed, self._deadline_s + extra_s)\n"
                "        except StoreUnavailable:\n"
                "            await self.ready()\n"
                "            return await self._connection.send(packed, self._deadline_s + extra_s)\n",
            ),
        ),
    ),
    Plant(
        "unbounded_queue",
        "a store that is away fills the memory of the process",
        "tests/unit/gateway/test_back_pressure.py::test_what_waits_for_a_store_that_is_away_is_bounded",
        (
            Edit(
                "gateway/intake.py",
                "            self._shut = True\n            self._valve.shut()\n",
                "            self._shut = True\n",
            ),
        ),
    ),
    Plant(
        "lost_departure_from_the_box",
        "a bike that was ridden away stays on the map",
        "tests/unit/gateway/core/test_change.py::test_a_viewer_who_hears_every_change_sees_what_is",
        (
            Edit(
                "gateway/core/change.py",
                "        if after is None or not is_seen:\n            return gone\n",
                "        if after is None:\n            return gone\n"
                "        if not is_seen:\n            return None\n",
            ),
        ),
    ),
    Plant(
        "lost_farewell_of_the_unavailable",
        "a rider walks to a bike that somebody else has",
        f"{LIVE}/test_session.py::test_a_device_that_becomes_unavailable_vanishes_and_staff_see_why",
        (
            Edit(
                "api/live/session.py",
                "        became = change_between(change.before, change.after, watching.shows)\n",
                "        if change.after is not None and not watching.wanted.accepts(traits_of(change.after)):\n"
                "            return\n"
                "        became = change_between(change.before, change.after, watching.shows)\n",
            ),
        ),
    ),
    Plant(
        "snapshot_before_join",
        "what changes while a client gets its snapshot is never told",
        f"{LIVE}/test_session.py::TestLiveMap::runTest",
        (
            Edit("api/live/session.py", "        self._shared.watches.join(self, cells)\n", ""),
            Edit(
                "api/live/session.py",
                "        self._snapshot_due = False\n        return encode(\n",
                "        if self._snapshot_due:\n"
                "            self._shared.watches.join(self, watching.cells)\n"
                "        self._snapshot_due = False\n        return encode(\n",
            ),
        ),
    ),
    Plant(
        "fill_before_position",
        "what changes while a view is filled is missing in it",
        f"{LIVE}/test_relay.py::test_the_view_and_whoever_hears_of_its_changes_end_as_redis",
        (Edit("api/live/relay.py", "shard.position = before\n", "shard.position = after\n"),),
    ),
    Plant(
        "no_send_deadline",
        "a client that stops reading holds its connection and its memory for ever",
        f"{LIVE}/test_stuck_client.py::test_a_client_that_takes_no_frame_is_cut_off_in_time",
        (
            Edit(
                "api/live/socket.py",
                "        elif blocked or silent:\n",
                "        elif silent and not blocked:\n",
            ),
        ),
    ),
    Plant(
        "live_state_before_history",
        "after a crash Redis knows stamps whose rows were never committed",
        f"{INGEST}/test_take_reports.py::test_history_then_state_then_acknowledgement_then_receipt",
        (
            Edit(
                "gateway/ingest/take_reports.py",
                "        unstored = await self._append(filing, admission)\n",
                "        announced = await ports.beliefs.advance(filing.by_device)\n"
                "        unstored = await self._append(filing, admission)\n",
            ),
        ),
    ),
    Plant(
        "redis_decides_what_is_stored",
        "a report whose stamp only Redis knows is dropped although its row never committed",
        f"{INGEST}/test_laws.py::test_a_stamp_that_only_redis_knows_is_still_stored",
        (
            Edit(
                "gateway/ingest/filing.py",
                "        else:\n            filing.doubtful.append(row)\n        reports.stamped.append(stamped)\n",
                "        elif stamp <= (reports.cached.committed_boot, reports.cached.committed_seq):\n"
                "            filing.doubtful.append(row)\n        reports.stamped.append(stamped)\n",
            ),
        ),
    ),
    Plant(
        "backlog_makes_online",
        "a device that has been gone for an hour looks reachable while its queue drains",
        "tests/unit/gateway/core/test_advance.py::test_a_drained_backlog_makes_nobody_online",
        (
            Edit(
                "gateway/core/presence.py",
                "    return at_ms if at_ms < received_ms else received_ms\n",
                "    return received_ms\n",
            ),
        ),
    ),
    Plant(
        "shown_as_before",
        "whoever saw a bike at a friend's door finds it wherever it is taken",
        "tests/unit/gateway/core/test_use.py::test_no_sequence_shows_a_bike_under_an_id_it_was_used_under",
        (
            Edit(
                "gateway/core/advance.py",
                "        if waits:\n",
                "        if False:\n",
            ),
        ),
    ),
    Plant(
        "used_under_the_row_in_memory",
        "a bike that was shown anew while its report waited is shown so again after the ride",
        "tests/unit/gateway/core/test_use.py::test_no_sequence_shows_a_bike_under_an_id_it_was_used_under",
        (
            Edit(
                "gateway/core/use.py",
                "        used_no = id_no\n",
                "        used_no = number\n",
            ),
        ),
    ),
)
"""Each by a name of its own."""
