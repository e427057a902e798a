/* From a converter's samples and the positions of the heart beats to the network's inputs.
 *
 * The same integers as edgeprune/data/front_end.py, which explains them. Streaming, without a heap:
 *
 *     edgeprune_front_end_reset(&state);
 *     for (each block of samples) {
 *         while (count > 0) {
 *             taken = edgeprune_front_end_samples(&config, &state, samples, count);
 *             samples += taken; count -= taken;
 *             while (edgeprune_front_end_window(&config, &state, signal, rhythm)) { classify }
 *         }
 *         for (each beat the detector found) edgeprune_front_end_beat(&config, &state, position);
 *         while (edgeprune_front_end_window(&config, &state, signal, rhythm)) { classify }
 *     }
 *
 * A beat must be told before its window is complete: at most 111 * factor - 1 samples after its
 * own (0.92 s at 360 Hz). Its window comes out once the next beat is known, or after `rr_most`
 * samples without one and the same allowance for the detector.
 */
#ifndef EDGEPRUNE_FRONT_END_H
#define EDGEPRUNE_FRONT_END_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEPRUNE_FRONT_END_LENGTH 96   /* samples of a window */
#define EDGEPRUNE_FRONT_END_CHANNELS 2  /* the beat; the beat minus the patient's template */
#define EDGEPRUNE_FRONT_END_FEATURES 18 /* rhythm features */
#define EDGEPRUNE_FRONT_END_HISTORY 64  /* RR intervals remembered */
#define EDGEPRUNE_FRONT_END_QUEUE 16    /* beats inside one window, at most */
#ifndef EDGEPRUNE_FRONT_END_RING
#define EDGEPRUNE_FRONT_END_RING 1024 /* raw samples kept: a power of two, 224 * factor or more */
#endif

/* FrontEnd.constants() in Python. */
typedef struct {
    int32_t factor;          /* raw samples a conditioned sample, 1 to 7 */
    int32_t rr_least;        /* shorter RR intervals count as this (raw samples) */
    int32_t rr_most;         /* longer ones count as this */
    int32_t rr_reference;    /* the RR interval whose feature is 0 */
    int32_t amplitude_least; /* smaller template peaks count as this, 16 or more */
} edgeprune_front_end_config;

/* Positions count samples from the reset, modulo 2**32: a device may run for years. */
typedef struct {
    uint32_t taken;    /* samples so far */
    uint32_t position; /* the beat whose window came out last */
    uint32_t last;     /* the beat told last */
    uint32_t waiting;  /* the conditioned beat that waits for the one after it */
    uint32_t queue[EDGEPRUNE_FRONT_END_QUEUE]; /* told beats whose window is not complete */
    int32_t queued;
    int32_t before;  /* RR interval before the waiting beat; 0 for the first beat */
    int32_t weight;  /* how often the template was updated, at most 4 */
    int32_t history; /* RR intervals remembered so far */
    int32_t newest;  /* place of the newest one */
    int16_t ring[EDGEPRUNE_FRONT_END_RING];
    int16_t beat[EDGEPRUNE_FRONT_END_LENGTH];
    int16_t expected[EDGEPRUNE_FRONT_END_LENGTH]; /* the template */
    uint16_t intervals[EDGEPRUNE_FRONT_END_HISTORY];
    uint16_t changes[EDGEPRUNE_FRONT_END_HISTORY];
    uint8_t any_sample;  /* a sample was taken */
    uint8_t any_beat;    /* a beat was told */
    uint8_t has_waiting; /* `waiting` and `beat` are in use */
    uint8_t has_template;
} edgeprune_front_end_state;

/* Forgets everything: a new patient, or a gap in the samples. */
void edgeprune_front_end_reset(edgeprune_front_end_state *state);

/* Takes samples until a window is ready to be fetched, or all. Returns how many it took. */
int32_t edgeprune_front_end_samples(const edgeprune_front_end_config *config,
                                    edgeprune_front_end_state *state, const int16_t *samples,
                                    int32_t count);

/* Tells of a beat. Returns 1; 0 where it is refused: not after the last one told, too late, or
 * more beats than a window can hold. */
int edgeprune_front_end_beat(const edgeprune_front_end_config *config,
                             edgeprune_front_end_state *state, uint32_t position);

/* Returns 1 and the inputs of the next beat, whose position is then state->position; else 0.
 * signal: [96][2], rhythm: [18]. */
int edgeprune_front_end_window(const edgeprune_front_end_config *config,
                               edgeprune_front_end_state *state, int8_t *signal, int8_t *rhythm);

#ifdef __cplusplus
}
#endif

#endif
