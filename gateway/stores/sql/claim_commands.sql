-- SENT is recorded only for what is still ISSUED and in time, in a lane that is still ours under this lease number.
-- A claim that waited here for another finds the phase changed.
with asked as (
    select * from unnest(%(command_ids)s::uuid[], %(lanes)s::text[]) as asked (command_id, lane)
), held as (
    select lease.lane, lease.lease_no
    from lease join unnest(%(held_lanes)s::text[], %(lease_nos)s::bigint[]) as ours (lane, lease_no)
        using (lane, lease_no)
    where lease.owner = %(owner)s and lease.expires_at > clock_timestamp()
), mine as (
    -- In one order, so that two owners cannot wait for each other.
    select command.command_id, held.lease_no
    from command join asked using (command_id) join held using (lane)
    where command.phase = 'issued' and command.not_after > clock_timestamp()
    order by command.command_id
    for no key update of command
), claimed as (
    update command
    set phase = 'sent', revision = command.revision + 1, lease_no = mine.lease_no, sent_at = %(at)s
    from mine
    where command.command_id = mine.command_id and command.phase = 'issued'
      and command.not_after > clock_timestamp()
    returning command.*
), noted as (
    insert into command_event (operator_id, command_id, at, what, phase, detail)
    select operator_id, command_id, %(at)s, 'claimed', 'sent',
           jsonb_build_object('owner', %(owner)s::text, 'lease_no', lease_no)
    from claimed
)
select {columns} from claimed order by issued_at, command_id
