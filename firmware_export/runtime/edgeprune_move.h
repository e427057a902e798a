/* Moves bytes to lower addresses, whole words where both addresses allow it. Written by hand. */
#ifndef EDGEPRUNE_MOVE_H
#define EDGEPRUNE_MOVE_H

#include <stdint.h>

/* The two may overlap if `to` is not above `from`. */
void edgeprune_move_down(int8_t *to, const int8_t *from, int32_t count);

#endif
