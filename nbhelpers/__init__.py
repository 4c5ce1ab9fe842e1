"""The Azure ML AutoML workflow as parameterised notebooks that run offline, and on Azure ML."""
