"""Commands: issued by a person or a flow, dispatched by the owner of the lane, settled by evidence."""
