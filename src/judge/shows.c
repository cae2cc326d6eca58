#include "judge/shows.h"

#include "judge/second.h"

#define PHASE(phase) (1u << PHASE_##phase)

static bool any_phase(const struct scenario *sc, unsigned phases)
{
	for (size_t i = 0; i < sc->n_clients; i++)
		if (phases >> sc->clients[i].phase & 1)
			return !sc->sweep;
	return false;
}

bool shows_owed(const struct scenario *sc)
{
	return any_phase(sc, PHASE(WAITING) | PHASE(STREAMING) | PHASE(HALF_CLOSED) | PHASE(PIPELINED) | PHASE(LOOP) |
				     PHASE(LATE) | PHASE(BACKLOG) | PHASE(GOAWAY_RACE));
}

bool shows_half(const struct scenario *sc)
{
	return any_phase(sc, PHASE(HALF_HEADER) | PHASE(HALF_BODY));
}

bool shows_pipelined(const struct scenario *sc)
{
	return any_phase(sc, PHASE(PIPELINED));
}

bool shows_unaccepted(const struct scenario *sc)
{
	return any_phase(sc, PHASE(BACKLOG) | PHASE(LOOP) | PHASE(LATE));
}

bool shows_slow_reader(const struct scenario *sc)
{
	return any_phase(sc, PHASE(SLOW_READER));
}

bool shows_silent(const struct scenario *sc)
{
	return any_phase(sc, PHASE(CONNECTED) | PHASE(HALF_HEADER) | PHASE(HALF_BODY) | PHASE(TLS_HANDSHAKE));
}

bool shows_stuck(const struct scenario *sc)
{
	for (size_t i = 0; i < sc->n_clients; i++)
		if (sc->clients[i].never_closes)
			return !sc->sweep;
	return shows_slow_reader(sc);
}

bool shows_clients(const struct scenario *sc)
{
	return sc->n_clients && !sc->sweep;
}

bool shows_restart(const struct scenario *sc)
{
	return sc->restart.how != RESTART_NO && !sc->sweep;
}

bool shows_hand_over(const struct scenario *sc)
{
	return restart_hands_over(&sc->restart) && !sc->sweep;
}

bool shows_removes(const struct scenario *sc)
{
	return sc->expect.removes && sc->expect.removes[0] && !sc->sweep;
}

bool shows_readiness(const struct scenario *sc)
{
	return sc->expect.readiness && !sc->sweep;
}

bool shows_ready(const struct scenario *sc)
{
	return (sc->target.ready == READY_NOTIFY || sc->target.ready == READY_LOG) && !sc->sweep;
}

bool shows_sweep(const struct scenario *sc)
{
	return sc->sweep > 0;
}

bool shows_second(const struct scenario *sc)
{
	return second_planned(sc, false) && !sc->sweep;
}

bool shows_second_int(const struct scenario *sc)
{
	return second_planned(sc, true) && !sc->sweep;
}

bool shows_vary(const struct scenario *sc)
{
	return sc->n_vary_to >= 2 && !sc->sweep;
}

bool shows_pid1(const struct scenario *sc)
{
	return sc->target.isolate == ISOLATE_CONTAINER && !sc->sweep;
}
