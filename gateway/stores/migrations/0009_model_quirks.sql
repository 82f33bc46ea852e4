-- What the hardware of a model does wrong, so that commands to it are sent with care.

alter table device_model add column quirks text[] not null default '{}'
    check (quirks <@ array['ignores_ttl', 'no_correlation', 'dup_unsafe']);
