"""What the runs of every track share: the protocol, loading, evaluation, aggregation."""
