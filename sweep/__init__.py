"""Orchestration: grid files, trials, plan, Ray Tune driver, worker, store, command line."""
