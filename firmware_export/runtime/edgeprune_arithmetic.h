/* The integer arithmetic that every kernel shares: TensorFlow Lite's int8 scheme, double rounding.
 *
 * real multiplier = multiplier * 2**(shift - 31), multiplier in [2**30, 2**31) or 0, shift in -31..30
 * (edgeprune checks all ranges named here when it generates a model).
 * A right shift of a negative number is taken to be arithmetic, as in every Arm and x86 compiler.
 */
#ifndef EDGEPRUNE_ARITHMETIC_H
#define EDGEPRUNE_ARITHMETIC_H

#include <stdint.h>

/* Scratch memory is reused with several types. */
#if defined(__GNUC__)
typedef int16_t __attribute__((may_alias)) edgeprune_scratch16;
typedef uint32_t __attribute__((may_alias)) edgeprune_scratch32;
#define EDGEPRUNE_NOINLINE __attribute__((noinline))
#else
typedef int16_t edgeprune_scratch16;
typedef uint32_t edgeprune_scratch32;
#define EDGEPRUNE_NOINLINE
#endif

/* Rounds a * b / 2**31 to the nearest integer, halves upwards; b >= 0. */
static inline int32_t edgeprune_high_multiply(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
    /* Four 16-bit products: this core has no 64-bit product and would call a library. */
    int32_t a_high = a >> 16, b_high = b >> 16;
    uint32_t a_low = (uint32_t)a & 0xFFFFu, b_low = (uint32_t)b & 0xFFFFu;
    int32_t first = a_high * (int32_t)b_low, second = (int32_t)a_low * b_high;
    uint32_t fraction = ((uint32_t)first & 0xFFFFu) + ((uint32_t)second & 0xFFFFu) +
                        ((a_low * b_low) >> 16) + 0x4000u;
    return 2 * (a_high * b_high + (first >> 16) + (second >> 16)) + (int32_t)(fraction >> 15);
#else
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
#endif
}

/* How one channel is brought to its output scale: any shift, any value whose left-shifted form
 * fits an int32. */
typedef struct {
    int32_t multiplier;
    int32_t left;  /* shift before the multiplication */
    int32_t right; /* shift after it */
} edgeprune_scaling;

static inline edgeprune_scaling edgeprune_scale(int32_t multiplier, int32_t shift) {
    edgeprune_scaling scaling;
    scaling.multiplier = multiplier;
    scaling.left = shift > 0 ? shift : 0;
    scaling.right = shift < 0 ? -shift : 0;
    return scaling;
}

/* Rounds after the product and after the shift; there, halves away from zero. */
static inline int32_t edgeprune_rescale(int32_t value, const edgeprune_scaling *scaling) {
    int32_t shifted = (int32_t)((uint32_t)value << scaling->left);
    int32_t high = edgeprune_high_multiply(shifted, scaling->multiplier);
    int32_t mask = (int32_t)((1u << scaling->right) - 1u);
    int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    return (high >> scaling->right) + ((high & mask) > threshold ? 1 : 0);
}

/* The same and the output's zero point in few instructions, for shift <= 0 and |value| < 2**30;
 * a zero point other than 0 needs a shift of -22 or more. */
typedef struct {
    int32_t multiplier;
    int32_t right;
    int32_t offset; /* half of 2**right, and the zero point times 2**right */
    int32_t sign;   /* -1; 0 where right is 0 */
} edgeprune_quick_scaling;

static inline edgeprune_quick_scaling edgeprune_scale_quick(int32_t multiplier, int32_t shift,
                                                            int32_t zero_point) {
    edgeprune_quick_scaling scaling;
    scaling.multiplier = multiplier;
    scaling.right = -shift;
    scaling.offset = (int32_t)((1u << scaling.right) >> 1);
    if (zero_point != 0) {
        scaling.offset += zero_point * (1 << scaling.right);
    }
    scaling.sign = 0;
    if (shift < 0) {
        scaling.sign = -1;
    }
    return scaling;
}

static inline int32_t edgeprune_rescale_quick(int32_t value, const edgeprune_quick_scaling *scaling) {
    int32_t high = edgeprune_high_multiply(value, scaling->multiplier);
    return (high + scaling->offset + ((high >> 31) & scaling->sign)) >> scaling->right;
}

static inline int8_t edgeprune_clamp(int32_t value, int32_t low, int32_t high) {
    if (value < low) {
        value = low;
    }
    if (value > high) {
        value = high;
    }
    return (int8_t)value;
}

static inline int8_t edgeprune_saturate(int32_t value) {
    return edgeprune_clamp(value, INT8_MIN, INT8_MAX);
}


#endif
