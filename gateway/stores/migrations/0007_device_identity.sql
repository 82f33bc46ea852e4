-- Who a device is: the keys it signs with, how it enters at the broker, codes to enrol with.

create table device_key (
    device_no int not null references device on delete cascade,
    key_no bigint not null check (key_no between 1 and 4294967295),
    operator_id int not null references operator,
    -- The id of the key-encryption key that seals it; the key itself is never here.
    wrapped_by text not null,
    wrapped bytea not null,
    made_at timestamptz not null default clock_timestamp(),
    -- Of a key that was followed by another: until when it is still good. Null for the newest. Rows of devices that
    -- live are never deleted, so that a gateway finds by `changed_at` whose keys it must read again.
    ends_at timestamptz,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (device_no, key_no)
);
create index device_key_by_wrapping on device_key (wrapped_by, device_no);
create index device_key_by_change on device_key (changed_at);
create unique index device_key_newest on device_key (device_no) where ends_at is null;
create trigger device_key_changed before update on device_key
    for each row execute function latchkey_note_change();

create table device_credential (
    device_no int primary key references device on delete cascade,
    operator_id int not null references operator,
    -- As mosquitto's password file has it; never the password.
    verifier text not null check (verifier ~ '^\$7\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$'),
    changed_at timestamptz not null default clock_timestamp()
);

create table device_certificate (
    -- Lower-case hex, as `openssl x509 -serial` prints it but for the case.
    serial text primary key check (serial ~ '^[0-9a-f]{1,40}$'),
    device_no int not null references device on delete cascade,
    operator_id int not null references operator,
    not_before timestamptz not null,
    not_after timestamptz not null,
    issued_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);
create index device_certificate_by_device on device_certificate (device_no);

-- The newest list of revoked certificates, signed where the private key of the certificate authority lies.
create table revocation_list (
    only_row boolean primary key default true check (only_row),
    -- Of the certificate authority, which serves all operators.
    operator_id int,
    crl_no bigint not null,
    pem text not null,
    signed_at timestamptz not null default clock_timestamp()
);

create table enrolment_code (
    -- SHA-256; the code itself is shown once, to whoever asked for it.
    code_hash bytea primary key check (octet_length(code_hash) = 32),
    operator_id int not null references operator,
    model text not null references device_model,
    made_by text not null,
    made_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    used_at timestamptz,
    device_no int references device on delete cascade
);
create index enrolment_code_by_end on enrolment_code (expires_at);

-- One row for every statement that changed what the broker must know; whoever writes the broker's files takes them
-- out in the transaction that reads the lists. A row of a transaction that is not committed yet is simply not seen.
create table broker_change (
    change_no bigint generated always as identity primary key,
    operator_id int
);

-- Gateways listen: they look again at devices and keys, and at what the broker must know.
create function latchkey_tell_devices() returns trigger language plpgsql as $$
begin
    if tg_argv[0] = 'broker' then
        insert into broker_change default values;
    end if;
    perform pg_notify('lk_devices', '');
    return null;
end $$;

create trigger device_told after update of status, model, operator_id or delete on device
    for each statement execute function latchkey_tell_devices('broker');
create trigger device_key_told after insert or update or delete on device_key
    for each statement execute function latchkey_tell_devices('keys');
create trigger device_credential_told after insert or update or delete on device_credential
    for each statement execute function latchkey_tell_devices('broker');
create trigger device_certificate_told after insert or update or delete on device_certificate
    for each statement execute function latchkey_tell_devices('broker');
create trigger revocation_list_told after insert or update on revocation_list
    for each statement execute function latchkey_tell_devices('broker');
