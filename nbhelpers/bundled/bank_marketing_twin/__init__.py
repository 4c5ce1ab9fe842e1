"""The synthetic data set `bank-marketing-twin`: two Parquet files, and how they were made (see PROVENANCE.md)."""
