"""The application: extract, train, test on other corpora, sweep, probe; finding stores, resuming."""
