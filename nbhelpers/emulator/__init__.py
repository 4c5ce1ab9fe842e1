"""The wire protocol of Azure ML, SDK v1, on loopback over the local workspace: the unmodified SDK runs against it."""
