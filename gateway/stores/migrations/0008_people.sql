-- Who may ask: keys of programs, riders by a keyed hash, tokens taken back; and the log of who did what.

-- Packed into 19 bits beside what a map query asks of a device.
alter table operator add check (operator_id between 1 and 524287);
-- Whose everything is where nobody said otherwise.
insert into operator (operator_id, name) values (1, 'default') on conflict (operator_id) do nothing;

create table api_key (
    key_id text primary key check (key_id ~ '^[a-z0-9]{12}$'),
    operator_id int not null references operator,
    role text not null check (role in ('staff', 'operator_admin', 'service')),
    name text not null,
    -- SHA-256 of 256 random bits: nothing to guess, so nothing to slow down.
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    created_at timestamptz not null default now(),
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Written now and then, never by a request.
    last_used_at timestamptz
);
create index api_key_by_operator on api_key (operator_id, key_id);

create table person (
    -- What every other table says of a rider: random, so that nothing is left of them once the hash is gone.
    person_id text primary key check (person_id ~ '^[a-z0-9]{20}$'),
    operator_id int not null references operator,
    -- Keyed hash of the openid; null after erasure.
    wechat_hash bytea check (octet_length(wechat_hash) = 32),
    created_at timestamptz not null default now(),
    erased_at timestamptz,
    unique (operator_id, wechat_hash)
);

-- Tokens of this subject that were issued before the moment are refused, though they have not expired.
create table revocation (
    operator_id int not null references operator,
    subject text not null,
    issued_before timestamptz not null,
    revoked_at timestamptz not null default now(),
    primary key (operator_id, subject)
);
create index revocation_by_age on revocation (revoked_at);

create table audit (
    audit_no bigint primary key,
    operator_id int not null references operator,
    at timestamptz not null,
    actor text not null,
    role text not null,
    action text not null,
    subject text not null,
    why text not null,
    before jsonb,
    after jsonb,
    prev_hash bytea not null,
    hash bytea not null
);
create index audit_by_operator on audit (operator_id, audit_no desc);

-- Where the chain ends, so that rows missing from its end are missed too.
create table audit_head (
    only_row boolean primary key default true check (only_row),
    audit_no bigint not null,
    hash bytea not null
);
insert into audit_head (audit_no, hash) values (0, sha256('latchkey audit 1'));

create function audit_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_is_append_only before update or delete on audit
    for each row execute function audit_refuse_change();
create trigger audit_is_never_emptied before truncate on audit
    for each statement execute function audit_refuse_change();
create trigger audit_head_stays before delete on audit_head
    for each row execute function audit_refuse_change();
create trigger audit_head_is_never_emptied before truncate on audit_head
    for each statement execute function audit_refuse_change();

-- The bytes a row is hashed as: each field as LENGTH:TEXT with the length in UTF-8 bytes, an absent one as -, with
-- commas between. Any other program can make them.
create function audit_form(fields text[]) returns bytea language sql immutable as $$
    select convert_to(
        string_agg(coalesce(octet_length(convert_to(field, 'UTF8')) || ':' || field, '-'), ',' order by place), 'UTF8'
    )
    from unnest(fields) with ordinality as each_field (field, place)
$$;

-- Appends one row and returns its number. The lock is held until the transaction ends, so this is the last statement
-- of one: whoever appends next waits for its commit. With the rights of its owner, so that a role which may do
-- nothing else with the log can append to it.
create function audit_append(
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
    hashed := sha256(head.hash || audit_form(array[
        number::text, operator_id::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        actor, role, action, subject, why, before::text, after::text
    ]));
    insert into audit values (
        number, operator_id, at, actor, role, action, subject, why, before, after, head.hash, hashed
    );
    update audit_head set audit_no = number, hash = hashed;
    return number;
end $$;
