-- What devices were ordered to do, the story of each order, and what must never happen and did.

-- Rises with every command of the device and never falls; gaps mean nothing.
alter table device add column fence bigint not null default 0;

create table command (
    command_id uuid primary key,
    operator_id int not null references operator,
    device_no int not null references device,
    -- Never changes, so that no question about a command has to look further.
    device_id text not null,
    shard smallint not null check (shard between 0 and 15),
    model text not null,
    firmware text not null,
    kind smallint not null check (kind between 1 and 8),
    one_shot boolean not null,
    slot smallint not null check (slot >= 0),
    settings jsonb not null,
    boot bigint not null,
    fence bigint not null check (fence > 0),
    issued_at timestamptz not null,
    not_after timestamptz not null,
    phase text not null,
    revision int not null default 1,
    lease_no bigint not null default 0,
    sent_at timestamptz,
    settled_at timestamptz,
    reason text not null default '',
    requested_by text not null,
    claim_id text not null,
    openings_before bigint,
    unit_before text not null,
    -- Newest first of one device; and no fence is given twice.
    unique (device_no, fence),
    constraint command_settled_or_open check (
        (settled_at is null and phase in ('issued', 'sent', 'accepted', 'executed', 'unconfirmed'))
        or (settled_at is not null and phase in
            ('confirmed', 'refused', 'failed', 'expired', 'cancelled', 'executed_late', 'abandoned'))
    )
) with (fillfactor = 70);
-- No index names the phase: a move changes one row in its page, until the last one settles it.
create unique index command_one_shot_in_flight on command (device_no, slot) where one_shot and settled_at is null;
create index command_open on command (shard, issued_at) where settled_at is null;
create index command_by_end on command (settled_at) where settled_at is not null;

create table command_event (
    event_no bigint generated always as identity primary key,
    operator_id int not null,
    command_id uuid not null references command on delete cascade,
    at timestamptz not null,
    what text not null,
    -- After it.
    phase text not null,
    detail jsonb not null
);
create index command_event_of_command on command_event (command_id, event_no);

create function command_event_refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.at < clock_timestamp() - interval '400 days' then
        return old;
    end if;
    raise exception 'the story of a command is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger command_event_is_append_only before update or delete on command_event
    for each row execute function command_event_refuse_change();
create trigger command_event_is_never_emptied before truncate on command_event
    for each statement execute function command_event_refuse_change();

-- What an Idempotency-Key stands for.
create table command_key (
    -- Who asked; keys of two principals never meet.
    principal text not null,
    key text not null,
    operator_id int not null references operator,
    digest bytea not null,
    command_id uuid not null,
    made_at timestamptz not null default clock_timestamp(),
    primary key (principal, key)
);
create index command_key_by_age on command_key (made_at);

create table incident (
    incident_no bigint generated always as identity primary key,
    operator_id int not null references operator,
    device_no int not null references device,
    kind text not null,
    at timestamptz not null,
    command_id uuid,
    detail jsonb not null
);
-- A batch that is given again after a crash tells nothing twice.
create unique index incident_once on incident (command_id, kind) where command_id is not null;
create index incident_by_operator on incident (operator_id, incident_no desc);
create index incident_by_age on incident (at);

-- A command as programs read it: names as in their code, times in Unix milliseconds.
create function latchkey_command_json(one command) returns text language sql stable as $$
    select json_build_object(
        'command_id', one.command_id, 'operator_id', one.operator_id, 'device_no', one.device_no,
        'device_id', one.device_id, 'model', one.model, 'firmware', one.firmware, 'kind', one.kind, 'slot', one.slot,
        'settings', one.settings, 'boot', one.boot, 'fence', one.fence,
        'issued_ms', floor(extract(epoch from one.issued_at) * 1000)::bigint,
        'not_after_ms', floor(extract(epoch from one.not_after) * 1000)::bigint,
        'phase', one.phase, 'revision', one.revision, 'lease_no', one.lease_no,
        'sent_ms', floor(extract(epoch from one.sent_at) * 1000)::bigint,
        'settled_ms', floor(extract(epoch from one.settled_at) * 1000)::bigint,
        'reason', one.reason, 'requested_by', one.requested_by, 'claim_id', one.claim_id,
        'openings_before', one.openings_before, 'unit_before', one.unit_before
    )::text
$$;

create function latchkey_instant(unix_ms bigint) returns timestamptz language sql immutable as $$
    select to_timestamp(unix_ms / 1000.0)
$$;

-- Whoever hears it need not ask; what is too long for a notice (8,000 bytes) is asked for by its id.
create function latchkey_notify_command(channel text, one command) returns void language plpgsql as $$
declare
    told text := latchkey_command_json(one);
begin
    perform pg_notify(channel, case when octet_length(told) < 7900 then told else one.command_id::text end);
end $$;

-- One command into being, or the reason why not: key, fence, command, story, notice. Answers with one of issued,
-- repeated, key_reused, slot_busy, and with the command that this is about.
create function latchkey_issue_command(
    asked command, asked_key text, asked_digest bytea, asked_at timestamptz, out outcome text, out answer command
) language plpgsql as $$
declare
    last_fence_known bigint := asked.fence;
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
                -- The key stands for nothing: asked again later, it may be answered otherwise.
                delete from command_key where principal = asked.requested_by and key = asked_key;
                outcome := 'slot_busy';
                return;
            end if;
        end if;
        -- Commands of one device queue up at its row.
        update device set fence = fence + 1 where device_no = asked.device_no returning fence into asked.fence;
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
    perform latchkey_notify_command('lk_cmd_' || lpad(to_hex(asked.shard::int), 2, '0'), answer);
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
            openings_before bigint, unit_before text, key text, digest text)
    loop
        -- As the table has its columns; the fence is the last one the caller knows of, the command gets its own.
        select * into told from latchkey_issue_command(
            row(one.command_id, one.operator_id, one.device_no, one.device_id, one.shard, one.model, one.firmware,
                one.kind, one.one_shot, one.slot, one.settings, one.boot, one.last_fence,
                latchkey_instant(one.issued_ms), latchkey_instant(one.not_after_ms), 'issued', 1, 0, null, null, '',
                one.requested_by, one.claim_id, one.openings_before, one.unit_before)::command,
            one.key, decode(one.digest, 'hex'), latchkey_instant(one.requested_ms)
        );
        outcome := told.outcome;
        answer := latchkey_command_json(told.answer);
        if outcome = 'issued' then
            issued := issued || place;
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

-- SENT is recorded only for what is still ISSUED and in time, in a lane that is still the owner's under this lease
-- number. A claim that waited here for another finds the phase changed.
create function latchkey_claim_commands(asked jsonb, claimer text, at timestamptz) returns setof text
language plpgsql as $$
declare
    one record;
    claimed command;
begin
    for one in
        select * from jsonb_to_recordset(asked) as ours (command_id uuid, lane text, lease_no bigint)
        -- In one order, so that two owners cannot wait for each other.
        order by command_id
    loop
        update command
        set phase = 'sent', revision = command.revision + 1, lease_no = lease.lease_no, sent_at = at
        from lease
        where command.command_id = one.command_id and command.phase = 'issued'
            and command.not_after > clock_timestamp()
            and lease.lane = one.lane and lease.lease_no = one.lease_no and lease.owner = claimer
            and lease.expires_at > clock_timestamp()
        returning command.* into claimed;
        continue when not found;
        insert into command_event (operator_id, command_id, at, what, phase, detail)
        values (claimed.operator_id, claimed.command_id, at, 'claimed', 'sent',
                jsonb_build_object('owner', claimer, 'lease_no', claimed.lease_no));
        return next latchkey_command_json(claimed);
    end loop;
end $$;

-- Each command moves from the revision it was judged at, or not at all.
create function latchkey_move_commands(asked jsonb) returns setof text language plpgsql as $$
declare
    one record;
    moved command;
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
        if moved.settled_at is not null or moved.phase = 'unconfirmed' then
            perform latchkey_notify_command('lk_settled', moved);
        end if;
        return next latchkey_command_json(moved);
    end loop;
end $$;
