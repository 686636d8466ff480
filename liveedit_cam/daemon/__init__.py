"""The daemon process: capture, hand-over to the engine, playout, sinks, commands. No torch."""
