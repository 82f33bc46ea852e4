-- How many public ids a device has had: whoever remembers an older row, or has seen a later one, can tell which is newer.

alter table device add column public_id_no int not null default 1;

create function latchkey_number_public_id() returns trigger language plpgsql as $$
begin
    new.public_id_no := old.public_id_no + 1;
    return new;
end $$;
create trigger device_public_id_numbered before update of public_id on device
    for each row when (new.public_id is distinct from old.public_id) execute function latchkey_number_public_id();
