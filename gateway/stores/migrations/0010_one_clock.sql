-- Devices judge the age of a command by the clock of this database, which welcomes tell them. A command that was issued
-- by a clock ahead of it would be obeyed for as much longer.

create function command_refuse_ahead() returns trigger language plpgsql as $$
begin
    if new.issued_at > clock_timestamp() + interval '2 seconds' then
        raise exception 'the clock of the API is ahead of that of PostgreSQL by %',
                        date_trunc('milliseconds', new.issued_at - clock_timestamp())
            using errcode = 'object_not_in_prerequisite_state', hint = 'keep the clocks of both machines by NTP';
    end if;
    return new;
end $$;
create trigger command_is_not_issued_ahead before insert on command
    for each row execute function command_refuse_ahead();
