/* Whether a window is one to decide about: the same integers as edgeprune/monitor/input_monitor.py,
 * which explains them.
 */
#ifndef EDGEPRUNE_MONITOR_H
#define EDGEPRUNE_MONITOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEPRUNE_MONITOR_SATURATED 1u
#define EDGEPRUNE_MONITOR_FLAT 2u
#define EDGEPRUNE_MONITOR_UNUSUAL 4u
#define EDGEPRUNE_MONITOR_LOW_MARGIN 8u

/* The score: the roughness of each zone against what it is in windows of that class. */
typedef struct {
    const int32_t *zones;    /* first sample of each zone, and the signal's length */
    const int16_t *centres;  /* [classes][zone_count], in 1/32 octave */
    const uint16_t *weights; /* [classes][zone_count] */
    int32_t zone_count;
    int32_t channels; /* of the signal */
    int32_t read;     /* leading channels that the score reads */
    int32_t classes;
    uint32_t unusual; /* greatest score of a usual window */
    int32_t margin;   /* least difference of the two largest logits */
} edgeprune_monitor_config;

/* What samples must not do. */
typedef struct {
    int32_t count; /* samples of a channel that are looked at */
    int32_t low;   /* a sample at or below this is at a rail */
    int32_t high;  /* a sample at or above this is at a rail */
    int32_t rail_samples;
    int32_t block; /* samples of a block */
    int32_t flat_range;
    int32_t flat_blocks;
} edgeprune_monitor_limits;

/* EDGEPRUNE_MONITOR_UNUSUAL and EDGEPRUNE_MONITOR_LOW_MARGIN of a window, as far as they hold. */
uint32_t edgeprune_monitor_window(const edgeprune_monitor_config *config, const int8_t *signal,
                                  const int8_t *logits);

/* EDGEPRUNE_MONITOR_SATURATED and EDGEPRUNE_MONITOR_FLAT of the raw samples from number `first` on
 * in a ring of mask + 1 samples, a power of two. */
uint32_t edgeprune_monitor_raw(const edgeprune_monitor_limits *limits, const int16_t *ring,
                               uint32_t mask, uint32_t first);

/* The same of an int8 signal [limits->count][channels]. */
uint32_t edgeprune_monitor_signal(const edgeprune_monitor_limits *limits, const int8_t *signal,
                                  int32_t channels);

#ifdef __cplusplus
}
#endif

#endif
