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
    perform pg_notify('lk_cmd_' || lpad(to_hex(asked.shard::int), 2, '0'), '');
end $$;

-- A batch of them in one transaction, each with its row in the audit log; in the order given, which must be that of
-- device numbers, so that two batches cannot wait for each other.
create function latchkey_issue_commands(
    asked command[], keys text[], digests bytea[], asked_at timestamptz[], whys text[], whats jsonb[]
) returns table (outcome text, answer command) language plpgsql as $$
declare
    one record;
    issued int[] := '{}';
begin
    for place in 1 .. cardinality(asked) loop
        select * into one
        from latchkey_issue_command(asked[place], keys[place], digests[place], asked_at[place]);
        outcome := one.outcome;
        answer := one.answer;
        if outcome = 'issued' then
            issued := issued || place;
        end if;
        return next;
    end loop;
    -- Last, because it takes the lock of the chain, and all other locks are held by then.
    perform audit_append(
        asked[place].operator_id, asked[place].requested_by, split_part(asked[place].requested_by, ':', 1),
        'command_issue', 'device:' || asked[place].device_id, whys[place], null, whats[place]
    ) from unnest(issued) as place;
end $$;
