-- A person takes back what was not sent, or gives up on what was never answered.
with moved as (
    update command
    set phase = %(after)s::text, revision = revision + 1, reason = %(after)s::text,
        settled_at = %(at)s::timestamptz
    where command_id = %(command_id)s and phase = %(before)s
    returning command_id, operator_id, device_id, phase, command as whole
), told as (
    insert into command_event (operator_id, command_id, at, what, phase, detail)
    select operator_id, command_id, %(at)s, phase, phase,
           jsonb_build_object('by', %(by)s::text, 'why', %(why)s::text)
    from moved
)
select latchkey_command_json(whole),
       latchkey_notify_command('lk_settled', whole),
       -- The last one, because it takes the lock of the chain.
       audit_append(
           operator_id, %(by)s::text, split_part(%(by)s::text, ':', 1), %(action)s::text, 'device:' || device_id,
           %(why)s::text, jsonb_build_object('command', command_id, 'phase', %(before)s::text),
           jsonb_build_object('command', command_id, 'phase', phase)
       )
from moved
