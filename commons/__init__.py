"""The bottom drawer: clock, plug-ins, group commit, texts, metrics, logs. No word of transit or money."""
