"""Every store of one gateway process, made once and closed in reverse."""

from gateway.ports import Clock
from gateway.settings import Settings
from gateway.stores.broker_lists import PostgresBrokerLists
from gateway.stores.commands import PostgresCommands
from gateway.stores.device_keys import PostgresDeviceKeys
from gateway.stores.history import PostgresHistory
from gateway.stores.last_reports import PostgresLastReports
from gateway.stores.leases import PostgresLeases
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.quarantine import PostgresQuarantine
from gateway.stores.redis_link import RedisLink
from gateway.stores.registry import PostgresRegistry
from gateway.watched_stores import Watch, WatchedHistory, WatchedLiveStates


class Stores:
    """Everything that outlives a connection to the outside."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        dsn = settings.postgres_dsn
        self.redis = RedisLink(settings.redis_url, name="gateway")
        self.registry = PostgresRegistry(dsn, clock)
        self.device_keys = PostgresDeviceKeys(dsn, settings.key_encryption_key, clock)
        self.broker_lists = PostgresBrokerLists(dsn)
        self.commands = PostgresCommands(dsn)
        self.bad_acks = PostgresHistory(dsn)
        """A connection of its own: no batch of reports holds up what devices answer."""
        self.postgres_history = PostgresHistory(dsn)
        self.leases = PostgresLeases(dsn)
        self.quarantine = PostgresQuarantine(dsn)
        self.last_reports = PostgresLastReports(dsn, self.registry.model)
        self.postgres_watch = Watch("postgres", clock)
        self.redis_watch = Watch("redis", clock)
        self.history = WatchedHistory(self.postgres_history, self.postgres_watch)
        self.live_states = WatchedLiveStates(RedisLiveStates(self.redis), self.redis_watch)

    async def close(self) -> None:
        """In reverse order."""
        await self.last_reports.close()
        await self.quarantine.close()
        await self.leases.close()
        await self.postgres_history.close()
        await self.bad_acks.close()
        await self.commands.close()
        await self.broker_lists.close()
        await self.device_keys.close()
        await self.registry.close()
        await self.redis.close()
