/* What edgeprune calls in the shared library of the generated code. */
#ifndef EDGEPRUNE_HOST_BATCH_H
#define EDGEPRUNE_HOST_BATCH_H

#include <stdint.h>

/* Classifies `count` windows that lie one after the other. Where traces is not NULL, the output of
 * every operation of every window is appended there. Returns EDGEPRUNE_OK or what the model said. */
int32_t edgeprune_host_classify(const int8_t *signal, const int8_t *rhythm, int32_t count,
                                int8_t *logits, int8_t *traces);

/* Streams a recording through the front end: samples one by one, each beat as soon as its sample
 * is there. Returns how many windows were written (at most beat_count). */
int32_t edgeprune_host_front_end(const int16_t *samples, int32_t count, const int32_t *beats,
                                 int32_t beat_count, int8_t *signal, int8_t *rhythm);

#endif
