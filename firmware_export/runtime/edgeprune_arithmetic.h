/* The integer arithmetic that every kernel shares: TensorFlow Lite's int8 scheme, double rounding.
 *
 * real multiplier = multiplier * 2**(shift - 31), multiplier in [2**30, 2**31) or 0, shift in -31..30
 * (edgeprune checks all ranges named here when it generates a model).
 * A right shift of a negative number is taken to be arithmetic, as in every Arm and x86 compiler.
 */
#ifndef EDGEPRUNE_ARITHMETIC_H
#define EDGEPRUNE_ARITHMETIC_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(EDGEPRUNE_PORTABLE)
#define EDGEPRUNE_DSP 1
#include <arm_acle.h>
#else
#define EDGEPRUNE_DSP 0
#endif

/* Thumb-1 (Cortex-M0+): eight registers for most instructions, no 64-bit product. */
#if defined(__ARM_ARCH) && defined(__thumb__) && !defined(__thumb2__) && defined(__GNUC__) && \
    !defined(EDGEPRUNE_PORTABLE)
#define EDGEPRUNE_THUMB1 1
#else
#define EDGEPRUNE_THUMB1 0
#endif

/* Scratch memory is reused with several types. */
#if defined(__GNUC__)
typedef int16_t __attribute__((may_alias)) edgeprune_scratch16;
typedef uint32_t __attribute__((may_alias)) edgeprune_scratch32;
#define EDGEPRUNE_NOINLINE __attribute__((noinline))
#define EDGEPRUNE_BARRIER() __asm__ volatile("" ::: "memory")
#else
typedef int16_t edgeprune_scratch16;
typedef uint32_t edgeprune_scratch32;
#define EDGEPRUNE_NOINLINE
#endif

/* Rounds a * b / 2**31 to the nearest integer, halves upwards; b >= 0. */
static inline int32_t edgeprune_high_multiply(int32_t a, int32_t b) {
#if EDGEPRUNE_THUMB1
    /* Four 16-bit products: Thumb-1 has no 64-bit product and would call a library. */
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
    scaling.sign = shift < 0 ? -1 : 0;
    return scaling;
}

static inline int32_t edgeprune_rescale_quick(int32_t value, const edgeprune_quick_scaling *scaling) {
#if EDGEPRUNE_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(value * 2), "r"(scaling->multiplier));
#else
    int32_t high = edgeprune_high_multiply(value, scaling->multiplier);
#endif
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
#if EDGEPRUNE_DSP
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return (int8_t)result;
#else
    return edgeprune_clamp(value, INT8_MIN, INT8_MAX);
#endif
}

#if EDGEPRUNE_DSP
/* The DSP instructions on words of two 16-bit or four 8-bit numbers. */
static inline uint32_t edgeprune_load32(const int8_t *from) {
    uint32_t value;
    __builtin_memcpy(&value, from, 4);
    return value;
}

static inline void edgeprune_store32(int8_t *to, uint32_t value) { __builtin_memcpy(to, &value, 4); }

/* Bytes 0 and 2, or 1 and 3, as two 16-bit numbers, added to the two in `sum`. The odd ones in
 * assembly: the rotation is free in the instruction, but compilers make one of its own. */
static inline uint32_t edgeprune_add_even(uint32_t sum, uint32_t bytes) {
    return (uint32_t)__sxtab16((int16x2_t)sum, (int8x4_t)bytes);
}

static inline uint32_t edgeprune_add_odd(uint32_t sum, uint32_t bytes) {
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(bytes));
    return result;
}

static inline uint32_t edgeprune_even(uint32_t bytes) {
    return (uint32_t)__sxtb16((int8x4_t)bytes);
}

static inline uint32_t edgeprune_odd(uint32_t bytes) {
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
    return result;
}

/* The low halves of both, or the high halves, as one word. */
static inline uint32_t edgeprune_low_halves(uint32_t first, uint32_t second) {
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(first), "r"(second));
    return result;
}

static inline uint32_t edgeprune_high_halves(uint32_t first, uint32_t second) {
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(second), "r"(first));
    return result;
}

/* sum + the two products of 16-bit halves; of the low halves; of the high halves. */
static inline int32_t edgeprune_smlad(uint32_t a, uint32_t b, int32_t sum) {
    return __smlad((int16x2_t)a, (int16x2_t)b, sum);
}

static inline int32_t edgeprune_smlabb(uint32_t a, uint32_t b, int32_t sum) {
    return __smlabb((int32_t)a, (int32_t)b, sum);
}

static inline int32_t edgeprune_smlatt(uint32_t a, uint32_t b, int32_t sum) {
    return __smlatt((int32_t)a, (int32_t)b, sum);
}

/* The larger or smaller of each byte. */
static inline uint32_t edgeprune_max8(uint32_t a, uint32_t b) {
    (void)__ssub8((int8x4_t)a, (int8x4_t)b);
    return (uint32_t)__sel((uint8x4_t)a, (uint8x4_t)b);
}

static inline uint32_t edgeprune_min8(uint32_t a, uint32_t b) {
    (void)__ssub8((int8x4_t)a, (int8x4_t)b);
    return (uint32_t)__sel((uint8x4_t)b, (uint8x4_t)a);
}

static inline uint32_t edgeprune_twice16(int32_t value) {
    return ((uint32_t)value & 0xFFFFu) * 0x10001u;
}

static inline uint32_t edgeprune_four8(int32_t value) {
    return ((uint32_t)value & 0xFFu) * 0x01010101u;
}
#endif

#endif
