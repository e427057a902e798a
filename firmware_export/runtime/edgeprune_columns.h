/* What 1-D and 2-D convolutions share: blocks of four positions and two output channels.
 *
 * The windows of four positions are first laid out in the scratch memory ("columns") as 16-bit
 * numbers without their zero point, so that padding is zero and the inner loop knows nothing of
 * strides, dilation, padding or groups.
 */
#ifndef EDGEPRUNE_COLUMNS_H
#define EDGEPRUNE_COLUMNS_H

#include "edgeprune_arithmetic.h"

#define POSITIONS 4

/* Columns: [depth][position]. */
#define COLUMN(columns, position, depth) ((columns)[(depth)*POSITIONS + (position)])

/* How sums become outputs: the fields of that name of a kernel's parameters. */
typedef struct {
    int32_t channels, zero_point, low, high, quick;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_outputs;

static inline void fill_zero(edgeprune_scratch16 *columns, int32_t position, int32_t depth,
                             int32_t count) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = 0;
    }
}

static inline void fill(edgeprune_scratch16 *columns, int32_t position, int32_t depth,
                        const int8_t *from, int32_t count, int32_t zero_point) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = (int16_t)(*from++ - zero_point);
    }
}

/* sums[channel of the pair][position] = bias + columns * weights. */
void edgeprune_accumulate(const edgeprune_scratch16 *columns, const int8_t *weights,
                          int32_t depth_pairs, int32_t first_bias, int32_t second_bias,
                          int32_t *sums);

/* Brings the sums of one channel to int8 and stores them. */
void edgeprune_store_sums(const edgeprune_outputs *p, int32_t channel, const int32_t *sums,
                          int32_t positions, int8_t *output);

/* Convolves one block of positions with the channels first .. first + count - 1 of one group;
 * returns the weights behind those it used. */
static inline const int8_t *convolve_block(const edgeprune_outputs *p, const int32_t *bias,
                                           const edgeprune_scratch16 *columns,
                                           const int8_t *weights, int32_t depth_pairs,
                                           int32_t first, int32_t count, int32_t positions,
                                           int8_t *output) {
    int32_t channel;
    for (channel = first; channel < first + count; channel += 2) {
        int32_t sums[2 * POSITIONS];
        int32_t second = channel + 1 < first + count ? channel + 1 : channel;
        edgeprune_accumulate(columns, weights, depth_pairs, bias[channel], bias[second], sums);
        weights += 4 * depth_pairs;
        edgeprune_store_sums(p, channel, sums, positions, output + channel);
        if (second != channel) {
            edgeprune_store_sums(p, second, sums + POSITIONS, positions, output + second);
        }
    }
    return weights;
}

#endif
