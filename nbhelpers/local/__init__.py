"""The embedded workspace: the SDK names of Azure ML, implemented on one local folder."""
