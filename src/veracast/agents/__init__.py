"""The agent audit: simulators, planted canary backdoors, honest scores, detectors for data, adapters, models and run time."""
