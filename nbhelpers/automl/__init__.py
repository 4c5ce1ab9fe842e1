"""The search for a model: data frames in, a fitted ensemble and a record of every child out."""
