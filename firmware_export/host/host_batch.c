/* Runs the generated library on whole batches; edgeprune loads this as a shared library. */
#include "host_batch.h"

#include "edgeprune_model.h"

#include <string.h>

#ifndef EDGEPRUNE_SAMPLE_CHANNELS
#define EDGEPRUNE_SAMPLE_CHANNELS 1
#endif

void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count);

static int8_t *trace_target;

/* The model calls this after each operation (EDGEPRUNE_TRACE). */
void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count) {
    (void)operation;
    if (trace_target != NULL) {
        memcpy(trace_target, values, (size_t)count);
        trace_target += count;
    }
}

int32_t edgeprune_host_classify(const int8_t *signal, const int8_t *rhythm, int32_t count,
                                int8_t *logits, int8_t *traces) {
    int32_t window;
    trace_target = traces;
    for (window = 0; window < count; window++) {
        int result = edgeprune_classify(signal, rhythm, logits);
        if (result != EDGEPRUNE_OK) {
            return result;
        }
        signal += EDGEPRUNE_SIGNAL_BYTES;
        rhythm += EDGEPRUNE_RHYTHM_BYTES;
        logits += EDGEPRUNE_CLASS_COUNT;
    }
    return EDGEPRUNE_OK;
}

#if EDGEPRUNE_HAS_FRONT_END
int32_t edgeprune_host_front_end(const int16_t *samples, int32_t count, const int32_t *beats,
                                 int32_t beat_count, int8_t *signal, int8_t *rhythm) {
    int32_t sample, beat = 0, windows = 0;
    edgeprune_start();
    for (sample = 0; sample < count; sample++) {
        (void)edgeprune_push_samples(samples + sample * EDGEPRUNE_SAMPLE_CHANNELS, 1);
#ifdef EDGEPRUNE_TAKES_NO_BEATS
        (void)beats;
        (void)beat;
        (void)beat_count;
#else
        while (beat < beat_count && beats[beat] <= sample) {
            (void)edgeprune_push_beat((uint32_t)beats[beat]);
            beat++;
        }
#endif
        while (edgeprune_next_window(signal, rhythm) != 0) {
            signal += EDGEPRUNE_SIGNAL_BYTES;
            rhythm += EDGEPRUNE_RHYTHM_BYTES;
            windows++;
        }
    }
    return windows;
}
#endif
