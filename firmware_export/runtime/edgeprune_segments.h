/* From a converter's samples to the network's input: windows of fixed length over some channels.
 *
 * The same integers as edgeprune/data/segment_front_end.py, which explains them. Streaming, without
 * a heap:
 *
 *     edgeprune_segments_reset(&config, &state);
 *     for (each block of samples) {
 *         while (count > 0) {
 *             taken = edgeprune_segments_samples(&config, &state, samples, count);
 *             samples += taken * channels; count -= taken;
 *             while (edgeprune_segments_window(&config, &state, signal)) { classify }
 *         }
 *     }
 *
 * A sample is one count of every channel. The first window begins with the first sample after the
 * reset, each further one `step` samples later; a window comes out with its last sample.
 */
#ifndef EDGEPRUNE_SEGMENTS_H
#define EDGEPRUNE_SEGMENTS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef EDGEPRUNE_SEGMENTS_BYTES
#define EDGEPRUNE_SEGMENTS_BYTES 2048 /* of a window: length * channels */
#endif
#ifndef EDGEPRUNE_SEGMENTS_CHANNELS
#define EDGEPRUNE_SEGMENTS_CHANNELS 64 /* at most */
#endif

/* SegmentFrontEnd.constants() in Python. */
typedef struct {
    int32_t factor;   /* samples that are summed to one of the window */
    int32_t length;   /* summed samples of a window */
    int32_t channels; /* counts of a sample */
    int32_t step;     /* samples from one window's first to the next one's; a multiple of factor */
    int32_t gain;     /* what a sum is multiplied by: 32768 * factor * gain is at most 2**30 */
    int32_t shift;    /* bits that the product then loses, 0 to 29 */
} edgeprune_segments_config;

/* Positions count samples from the reset, modulo 2**32: a device may run for years. */
typedef struct {
    uint32_t taken;    /* samples so far */
    uint32_t position; /* first sample of the window that came out last */
    int32_t summed;    /* samples in `sums` */
    int32_t newest;    /* place in the ring of the next summed sample */
    int32_t missing;   /* summed samples until the next window is complete */
    int32_t ready;     /* a window is complete and not fetched */
    int32_t sums[EDGEPRUNE_SEGMENTS_CHANNELS];
    int8_t ring[EDGEPRUNE_SEGMENTS_BYTES]; /* [length][channels], scaled already */
} edgeprune_segments_state;

/* Forgets everything: call it first, and after a gap in the samples. */
void edgeprune_segments_reset(const edgeprune_segments_config *config,
                              edgeprune_segments_state *state);

/* Takes samples [count][channels] until a window is ready to be fetched, or all. Returns how many
 * it took. */
int32_t edgeprune_segments_samples(const edgeprune_segments_config *config,
                                   edgeprune_segments_state *state, const int16_t *samples,
                                   int32_t count);

/* Returns 1 and the next window [length][channels], whose first sample is then state->position;
 * else 0. */
int edgeprune_segments_window(const edgeprune_segments_config *config,
                              edgeprune_segments_state *state, int8_t *signal);

#ifdef __cplusplus
}
#endif

#endif
