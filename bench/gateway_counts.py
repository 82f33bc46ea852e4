"""What a gateway counted since it began, so that watching it costs the stores nothing."""

from msgspec import Struct

from bench.faults.gateway_page import GatewayPage


class GatewayCounts(Struct, frozen=True):
    """Of one process; two looks are compared by `since`."""

    stored_rows: float
    batches: float
    batched_rows: float

    @property
    def rows_per_batch(self) -> float:
        return self.batched_rows / max(self.batches, 1.0)

    def since(self, before: "GatewayCounts") -> "GatewayCounts":
        """What happened between two looks at the same process."""
        return GatewayCounts(
            self.stored_rows - before.stored_rows,
            self.batches - before.batches,
            self.batched_rows - before.batched_rows,
        )


def read_counts(http_port: int) -> GatewayCounts:
    """A gateway that does not answer has counted nothing."""
    series = GatewayPage(lambda: http_port).metrics()
    return GatewayCounts(
        stored_rows=series.get("latchkey_stored_rows_total", 0.0),
        batches=series.get('latchkey_batch_rows_count{of="reports"}', 0.0),
        batched_rows=series.get('latchkey_batch_rows_sum{of="reports"}', 0.0),
    )
