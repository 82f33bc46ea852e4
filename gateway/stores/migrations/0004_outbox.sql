-- What a hold, booking or rental did, for the owner of its device's lane to raise the live state by: written in the
-- transaction of the claim, taken in order, marked when the live state has it. Empty until there are claims.
create table outbox (
    outbox_no bigint generated always as identity primary key,
    operator_id int not null references operator,
    device_no int not null references device on delete cascade,
    shard smallint not null check (shard between 0 and 15),
    happening text not null,
    claim jsonb not null,
    happened_at timestamptz not null default now(),
    taken_at timestamptz
);
create index outbox_to_take on outbox (shard, outbox_no) where taken_at is null;
