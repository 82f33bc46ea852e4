-- What a command must not do to somebody else: open what has opened for another a moment ago, as long as the state that
-- it was judged by does not show that yet; keep everybody waiting for a slot of a device that changed hands; and free its
-- slot because the clock of a gateway is wrong.

-- One command into being, or the reason why not: key, fence, command, story. Answers with one of issued, repeated,
-- key_reused, slot_busy, and with the command that this is about (with none when that is of another operator, who had the
-- device before); or with device_changed: the device is not as whoever judged it knew it (its status, its model, whose it
-- is, or its boot, by which it would refuse the command), or has opened since for somebody whose command is settled
-- already, while the state that was judged still shows it closed.
create or replace function latchkey_issue_command(
    asked command, asked_status smallint, asked_key text, asked_digest bytea, asked_at timestamptz,
    out outcome text, out answer command
) language plpgsql as $$
declare
    last_fence_known bigint := asked.fence;
    found_device record;
begin
    -- A request with the same key waits here until the first is committed, and finds what that one made.
    insert into command_key (principal, key, operator_id, digest, command_id)
    values (asked.requested_by, asked_key, asked.operator_id, asked_digest, asked.command_id)
    on conflict do nothing;
    if not found then
        select case when digest = asked_digest then 'repeated' else 'key_reused' end, command_id
        into outcome, asked.command_id
        from command_key where principal = asked.requested_by and key = asked_key;
        select * into answer from command where command_id = asked.command_id;
        return;
    end if;
    loop
        if asked.one_shot then
            select * into answer from command
            where device_no = asked.device_no and slot = asked.slot and one_shot and settled_at is null;
            if found then
                -- The index below knows no operators, and neither may this look: the loop would never end. Whoever has the
                -- device now is not told what was ordered by whoever had it then.
                if answer.operator_id <> asked.operator_id then
                    answer := null;
                end if;
                -- The key stands for nothing: asked again later, it may be answered otherwise.
                delete from command_key where principal = asked.requested_by and key = asked_key;
                outcome := 'slot_busy';
                return;
            end if;
        end if;
        -- Commands of one device queue up at its row.
        update device set fence = fence + 1 where device_no = asked.device_no
        returning fence, status, model, operator_id, boot into found_device;
        -- A program of the version before does not say the status, and is believed as it was then.
        if asked_status is not null and (found_device.status, found_device.model, found_device.operator_id, found_device.boot)
            is distinct from (asked_status, asked.model, asked.operator_id, asked.boot)
        then
            delete from command_key where principal = asked.requested_by and key = asked_key;
            outcome := 'device_changed';
            return;
        end if;
        -- Evidence settles a command before the live state shows what happened; a count of openings is told of a live
        -- state only. It will show it: no device forgets a fence within one boot, after which it may have forgotten all.
        if asked.one_shot and asked.openings_before is not null and exists (
            select from command
            where device_no = asked.device_no and fence > last_fence_known and slot = asked.slot and one_shot
                and boot = asked.boot and phase in ('confirmed', 'executed_late')
        ) then
            delete from command_key where principal = asked.requested_by and key = asked_key;
            outcome := 'device_changed';
            return;
        end if;
        asked.fence := found_device.fence;
        -- What was counted before a command that was executed since is no count to compare with.
        if (asked.openings_before is not null or asked.unit_before <> '') and exists (
            select from command
            where device_no = asked.device_no and fence > last_fence_known and slot = asked.slot and one_shot
                and phase in ('confirmed', 'executed_late', 'abandoned')
        ) then
            asked.openings_before := null;
            asked.unit_before := '';
        end if;
        insert into command select asked.*
        on conflict (device_no, slot) where one_shot and settled_at is null do nothing
        returning * into answer;
        -- Another came first: the next round finds it, unless it is settled by then.
        exit when found;
    end loop;
    outcome := 'issued';
    insert into command_event (operator_id, command_id, at, what, phase, detail)
    values (asked.operator_id, asked.command_id, asked_at, 'requested', 'issued', '{}'),
           (asked.operator_id, asked.command_id, asked.issued_at, 'issued', 'issued',
            jsonb_build_object('fence', asked.fence));
end $$;

-- Each command moves from the revision it was judged at, or not at all; and nobody's is given up for its silence before a
-- day has passed by this clock, whatever that of a gateway says.
create or replace function latchkey_move_commands(asked jsonb) returns setof text language plpgsql as $$
declare
    one record;
    moved command;
    told text;
begin
    for one in
        select move.* , judged.settled_ms
        from jsonb_to_recordset(asked) as judged (move jsonb, settled_ms bigint),
            jsonb_to_record(judged.move) as move (
                command_id uuid, from_revision int, "to" text, reason text, entries jsonb, incidents jsonb)
        -- In one order, so that two movers cannot wait for each other.
        order by move.command_id
    loop
        update command
        set phase = one."to", revision = command.revision + 1,
            reason = case when one.reason = '' then command.reason else one.reason end,
            settled_at = coalesce(command.settled_at, latchkey_instant(one.settled_ms))
        where command.command_id = one.command_id and command.revision = one.from_revision
            and (one."to" <> 'abandoned' or command.phase = 'abandoned'
                or command.issued_at <= clock_timestamp() - interval '24 hours')
        returning command.* into moved;
        continue when not found;
        insert into command_event (operator_id, command_id, at, what, phase, detail)
        select moved.operator_id, moved.command_id, latchkey_instant(entry.at_ms), entry.what, entry.phase, entry.detail
        from jsonb_to_recordset(one.entries) as entry (at_ms bigint, what text, phase text, detail jsonb);
        if one.incidents <> '[]' then
            insert into incident (operator_id, device_no, kind, at, command_id, detail)
            select found.operator_id, found.device_no, found.kind, latchkey_instant(found.at_ms), found.command_id,
                   found.detail
            from jsonb_to_recordset(one.incidents) as found (
                operator_id int, device_no int, kind text, at_ms bigint, command_id uuid, detail jsonb)
            on conflict (command_id, kind) where command_id is not null do nothing;
        end if;
        told := latchkey_command_json(moved);
        if moved.settled_at is not null or moved.phase = 'unconfirmed' then
            perform latchkey_tell_command('lk_settled', moved.command_id, told);
        end if;
        return next told;
    end loop;
end $$;
