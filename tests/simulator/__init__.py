"""The simulator's tests: each module talks to one simulator, a process of its own, over sockets."""
