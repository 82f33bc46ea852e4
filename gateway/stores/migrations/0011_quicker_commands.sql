-- The same as before in fewer steps: who issues an order is told and answered with one text, the log's bytes are made by
-- one expression, and the device that was judged is compared with the device as it is.

-- As 0008 has them, without a query per row: LENGTH:TEXT, an absent one as -, with commas between. The length is that
-- of UTF-8, which the encoding of this database need not be.
create function audit_field(field text) returns text language sql stable as $$
    select case when field is null then '-' else octet_length(convert_to(field, 'UTF8')) || ':' || field end
$$;

create or replace function audit_append(
    operator_id int, actor text, role text, action text, subject text, why text, before jsonb, after jsonb
) returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
    head audit_head;
    number bigint;
    at timestamptz;
    hashed bytea;
begin
    perform pg_advisory_xact_lock(x'6c61756474'::bigint);
    select * into strict head from audit_head;
    number := head.audit_no + 1;
    at := clock_timestamp();
    hashed := sha256(head.hash || convert_to(
        audit_field(number::text) || ',' || audit_field(operator_id::text) || ','
            || audit_field(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || ','
            || audit_field(actor) || ',' || audit_field(role) || ',' || audit_field(action) || ','
            || audit_field(subject) || ',' || audit_field(why) || ',' || audit_field(before::text) || ','
            || audit_field(after::text),
        'UTF8'
    ));
    insert into audit values (
        number, operator_id, at, actor, role, action, subject, why, before, after, head.hash, hashed
    );
    update audit_head set audit_no = number, hash = hashed;
    return number;
end $$;

-- A command as `latchkey_command_json` tells it, to those who listen; what is too long for a notice (8,000 bytes) is
-- asked for by its id.
create function latchkey_tell_command(channel text, command_id uuid, told text) returns void language plpgsql as $$
begin
    perform pg_notify(channel, case when octet_length(told) < 7900 then told else command_id::text end);
end $$;

create or replace function latchkey_notify_command(channel text, one command) returns void language plpgsql as $$
begin
    perform latchkey_tell_command(channel, one.command_id, latchkey_command_json(one));
end $$;

drop function latchkey_issue_commands(jsonb);
drop function latchkey_issue_command(command, text, bytea, timestamptz);

-- One command into being, or the reason why not: key, fence, command, story. Answers with one of issued, repeated,
-- key_reused, slot_busy, and with the command that this is about; or with device_changed: the device is not as whoever
-- judged it knew it (its status, its model, whose it is, or its boot, by which it would refuse the command).
create function latchkey_issue_command(
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
            where device_no = asked.device_no and slot = asked.slot and one_shot and settled_at is null
                -- A device that changed hands is another device to whoever had it.
                and operator_id = asked.operator_id;
            if found then
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

-- A batch of them in one transaction, each with its row in the audit log; in the order given, which must be that of
-- device numbers, so that two batches cannot wait for each other.
create function latchkey_issue_commands(wanted jsonb) returns table (outcome text, answer text) language plpgsql as $$
declare
    one record;
    told record;
    place int := 0;
    issued int[] := '{}';
begin
    for one in
        select * from jsonb_to_recordset(wanted) as new (
            command_id uuid, operator_id int, device_no int, device_id text, shard smallint, model text, firmware text,
            kind smallint, one_shot boolean, slot smallint, settings jsonb, boot bigint, last_fence bigint,
            requested_ms bigint, issued_ms bigint, not_after_ms bigint, requested_by text, claim_id text,
            openings_before bigint, unit_before text, key text, digest text, status smallint)
    loop
        -- As the table has its columns; the fence is the last one the caller knows of, the command gets its own.
        select * into told from latchkey_issue_command(
            row(one.command_id, one.operator_id, one.device_no, one.device_id, one.shard, one.model, one.firmware,
                one.kind, one.one_shot, one.slot, one.settings, one.boot, one.last_fence,
                latchkey_instant(one.issued_ms), latchkey_instant(one.not_after_ms), 'issued', 1, 0, null, null, '',
                one.requested_by, one.claim_id, one.openings_before, one.unit_before)::command,
            one.status, one.key, decode(one.digest, 'hex'), latchkey_instant(one.requested_ms)
        );
        outcome := told.outcome;
        answer := null;
        if (told.answer).command_id is not null then
            answer := latchkey_command_json(told.answer);
        end if;
        if outcome = 'issued' then
            issued := issued || place;
            perform latchkey_tell_command('lk_cmd_' || lpad(to_hex(one.shard::int), 2, '0'), one.command_id, answer);
        end if;
        place := place + 1;
        return next;
    end loop;
    -- Last, because it takes the lock of the chain, and all other locks are held by then.
    perform audit_append(
        new.operator_id, new.requested_by, split_part(new.requested_by, ':', 1), 'command_issue',
        'device:' || new.device_id, new.why, null, new.what
    )
    from unnest(issued) as at_place,
        jsonb_to_record(wanted -> at_place) as new (
            operator_id int, requested_by text, device_id text, why text, what jsonb);
end $$;

-- Each command moves from the revision it was judged at, or not at all.
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

-- Nothing makes the bytes of the log by it any more.
drop function audit_form(text[]);
