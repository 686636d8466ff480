"""The child process that hosts an Editor: shared-memory frames, messages, watchdog."""
