/* Rows of a stream move to where the next window has them. */
#include "edgeprune_move.h"

#include "edgeprune_arithmetic.h"

#define BLOCK 8

void edgeprune_move_down(int8_t *to, const int8_t *from, int32_t count) {
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        edgeprune_scratch32 *target = (edgeprune_scratch32 *)(void *)to;
        const edgeprune_scratch32 *source = (const edgeprune_scratch32 *)(const void *)from;
        int32_t blocks;
        for (blocks = count / (4 * BLOCK); blocks > 0; blocks--) {
            uint32_t first = source[0], second = source[1], third = source[2], fourth = source[3];
            target[0] = first;
            target[1] = second;
            target[2] = third;
            target[3] = fourth;
            first = source[4];
            second = source[5];
            third = source[6];
            fourth = source[7];
            target[4] = first;
            target[5] = second;
            target[6] = third;
            target[7] = fourth;
            target += BLOCK;
            source += BLOCK;
        }
        to = (int8_t *)target;
        from = (const int8_t *)source;
        count %= 4 * BLOCK;
    }
    for (; count > 0; count--) {
        *to = *from;
        to++;
        from++;
    }
}
