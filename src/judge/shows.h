/* What a scenario must have for a run of it to say anything about a check: known from the scenario alone, before it runs. */
#pragma once
#include "scenario/scenario.h"

bool shows_owed(const struct scenario *sc);             /* a client that an answer may be owed to */
bool shows_half(const struct scenario *sc);
bool shows_pipelined(const struct scenario *sc);
bool shows_unaccepted(const struct scenario *sc);       /* a client that may wait to be accepted */
bool shows_slow_reader(const struct scenario *sc);
bool shows_silent(const struct scenario *sc);
bool shows_stuck(const struct scenario *sc);
bool shows_clients(const struct scenario *sc);
bool shows_restart(const struct scenario *sc);
bool shows_hand_over(const struct scenario *sc);
bool shows_removes(const struct scenario *sc);
bool shows_readiness(const struct scenario *sc);
bool shows_ready(const struct scenario *sc);
bool shows_sweep(const struct scenario *sc);
bool shows_second(const struct scenario *sc);
bool shows_second_int(const struct scenario *sc);
bool shows_vary(const struct scenario *sc);
bool shows_pid1(const struct scenario *sc);
