-- Each command moves from the revision it was judged at, or not at all.
with asked as (
    select * from unnest(%(command_ids)s::uuid[], %(revisions)s::int[], %(phases)s::text[], %(reasons)s::text[],
                         %(settled_at)s::timestamptz[])
        as asked (command_id, revision, phase, reason, settled_at)
), mine as (
    -- In one order, so that two movers cannot wait for each other.
    select command.command_id
    from command join asked using (command_id)
    where command.revision = asked.revision
    order by command.command_id
    for no key update of command
), moved as (
    update command
    set phase = asked.phase, revision = command.revision + 1,
        reason = case when asked.reason = '' then command.reason else asked.reason end,
        settled_at = coalesce(command.settled_at, asked.settled_at)
    from asked join mine using (command_id)
    where command.command_id = asked.command_id and command.revision = asked.revision
    returning command.*
), told as (
    insert into command_event (operator_id, command_id, at, what, phase, detail)
    select moved.operator_id, entry.command_id, entry.at, entry.what, entry.phase, entry.detail
    from unnest(%(entry_ids)s::uuid[], %(entry_at)s::timestamptz[], %(entry_whats)s::text[],
                %(entry_phases)s::text[], %(entry_details)s::jsonb[]) with ordinality
        as entry (command_id, at, what, phase, detail, place)
        join moved using (command_id)
    order by entry.place
), happened as (
    insert into incident (operator_id, device_no, kind, at, command_id, detail)
    select happened.operator_id, happened.device_no, happened.kind, happened.at, happened.command_id, happened.detail
    from unnest(%(incident_movers)s::uuid[], %(incident_operators)s::int[], %(incident_devices)s::int[],
                %(incident_kinds)s::text[], %(incident_at)s::timestamptz[], %(incident_ids)s::uuid[],
                %(incident_details)s::jsonb[])
        as happened (mover, operator_id, device_no, kind, at, command_id, detail)
        join moved on moved.command_id = happened.mover
    on conflict (command_id, kind) where command_id is not null do nothing
)
select {columns},
       case when settled_at is not null or phase = 'unconfirmed'
            then pg_notify('lk_settled', command_id::text) end
from moved
