/* The kernels of an int8 network on a device. Written by hand; the generated model calls them.
 *
 * Feature maps lie as [length][channels] or [length][height][channels], int8. shift is TensorFlow
 * Lite's exponent: positive shifts left. `quick` is 1 where every shift is in -22..0 and every
 * accumulator stays below 2**30 in magnitude.
 *
 * Each computes rows (or elements) first .. first + count - 1 of the whole output that begins at
 * `output`, from the whole input that begins at `input`.
 *
 * A row is what lies at one position of the length. input_row and output_row are the bytes from one
 * row to the next; 0 where memory holds only the row that is worked on.
 *
 * Interleaved weights, [group][pair of outputs][depth, rounded up to even][2]: the weights of two
 * output channels lie side by side, so that one load feeds both; an odd last channel and an odd
 * depth are filled with zeros. Depth runs over [kernel][input channel of the group].
 */
#ifndef EDGEPRUNE_KERNELS_H
#define EDGEPRUNE_KERNELS_H

#include <stdint.h>

typedef struct {
    int32_t input_length, input_channels, output_length, output_channels;
    int32_t kernel, stride, dilation, pad_left, groups;
    int32_t input_zero_point, output_zero_point, clamp_low, clamp_high, quick;
    const int8_t *weights; /* interleaved */
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_conv1d_parameters;

/* scratch: EDGEPRUNE_CONV1D_SCRATCH(kernel * input_channels / groups) bytes. */
#define EDGEPRUNE_CONV1D_SCRATCH(depth) (((depth) + 1) / 2 * 16)
void edgeprune_conv1d(const edgeprune_conv1d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch, int32_t first_row, int32_t rows);

typedef struct {
    int32_t input_length, input_channels, output_length, output_channels;
    int32_t kernel, stride, dilation, pad_left, channel_multiplier;
    int32_t input_zero_point, output_zero_point, clamp_low, clamp_high, quick;
    const int8_t *weights; /* [kernel][output channel] */
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_depthwise_conv1d_parameters;

void edgeprune_depthwise_conv1d(const edgeprune_depthwise_conv1d_parameters *p, const int8_t *input,
                                int8_t *output, int32_t first_row, int32_t rows);

typedef struct {
    int32_t input_length, input_height, input_channels;
    int32_t output_length, output_height, output_channels;
    int32_t kernel_length, kernel_height, stride_length, stride_height;
    int32_t dilation_length, dilation_height, pad_left, pad_top, groups;
    int32_t input_row, output_row;
    int32_t input_zero_point, output_zero_point, clamp_low, clamp_high, quick;
    const int8_t *weights; /* interleaved; depth over [kernel length][kernel height][channel] */
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_conv2d_parameters;

/* scratch: EDGEPRUNE_CONV1D_SCRATCH(kernel_length * kernel_height * input_channels / groups). */
void edgeprune_conv2d(const edgeprune_conv2d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch, int32_t first_row, int32_t rows);

typedef struct {
    int32_t input_length, input_height, input_channels;
    int32_t output_length, output_height, output_channels;
    int32_t kernel_length, kernel_height, stride_length, stride_height;
    int32_t dilation_length, dilation_height, pad_left, pad_top, channel_multiplier;
    int32_t input_row, output_row;
    int32_t input_zero_point, output_zero_point, clamp_low, clamp_high, quick;
    const int8_t *weights; /* [kernel length][kernel height][output channel] */
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_depthwise_conv2d_parameters;

void edgeprune_depthwise_conv2d(const edgeprune_depthwise_conv2d_parameters *p, const int8_t *input,
                                int8_t *output, int32_t first_row, int32_t rows);

typedef struct {
    int32_t input_features, output_features;
    int32_t input_zero_point, output_zero_point, clamp_low, clamp_high, quick;
    const int8_t *weights; /* interleaved, one group */
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_dense_parameters;

/* scratch: EDGEPRUNE_DENSE_SCRATCH(input_features) bytes. */
#define EDGEPRUNE_DENSE_SCRATCH(features) (((features) + 1) / 2 * 4)
void edgeprune_dense(const edgeprune_dense_parameters *p, const int8_t *input, int8_t *output,
                     int32_t *scratch);

typedef struct {
    int32_t input_length, channels, output_length;
    int32_t kernel, stride, pad_left, clamp_low, clamp_high;
} edgeprune_pool1d_parameters;

typedef edgeprune_pool1d_parameters edgeprune_max_pool1d_parameters;
typedef edgeprune_pool1d_parameters edgeprune_average_pool1d_parameters;

void edgeprune_max_pool1d(const edgeprune_max_pool1d_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_row, int32_t rows);

/* Averages the cells inside the input only; halves are rounded away from zero. */
void edgeprune_average_pool1d(const edgeprune_average_pool1d_parameters *p, const int8_t *input,
                              int8_t *output, int32_t first_row, int32_t rows);

typedef struct {
    int32_t input_length, input_height, channels, output_length, output_height;
    int32_t kernel_length, kernel_height, stride_length, stride_height, pad_left, pad_top;
    int32_t clamp_low, clamp_high;
} edgeprune_pool2d_parameters;

typedef edgeprune_pool2d_parameters edgeprune_max_pool2d_parameters;
typedef edgeprune_pool2d_parameters edgeprune_average_pool2d_parameters;

void edgeprune_max_pool2d(const edgeprune_max_pool2d_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_row, int32_t rows);

/* As edgeprune_average_pool1d. */
void edgeprune_average_pool2d(const edgeprune_average_pool2d_parameters *p, const int8_t *input,
                              int8_t *output, int32_t first_row, int32_t rows);

typedef struct {
    int32_t elements;
    int32_t first_zero_point, first_multiplier, first_shift;
    int32_t second_zero_point, second_multiplier, second_shift;
    int32_t output_zero_point, output_multiplier, output_shift, clamp_low, clamp_high;
} edgeprune_add_parameters;

/* output may be one of the inputs. */
void edgeprune_add(const edgeprune_add_parameters *p, const int8_t *first, const int8_t *second,
                   int8_t *output, int32_t first_element, int32_t elements);

typedef edgeprune_add_parameters edgeprune_sub_parameters;

/* output may be one of the inputs. */
void edgeprune_sub(const edgeprune_sub_parameters *p, const int8_t *first, const int8_t *second,
                   int8_t *output, int32_t first_element, int32_t elements);

typedef struct {
    int32_t elements, second_elements; /* the second repeats; elements is a multiple of its own */
    int32_t first_zero_point, second_zero_point, output_zero_point;
    int32_t multiplier, shift, clamp_low, clamp_high;
} edgeprune_mul_parameters;

/* output may be the first input, or the second where that has as many elements. */
void edgeprune_mul(const edgeprune_mul_parameters *p, const int8_t *first, const int8_t *second,
                   int8_t *output, int32_t first_element, int32_t elements);

typedef struct {
    int32_t rows, row_bytes, output_row_stride, output_offset;
} edgeprune_copy_parameters;

void edgeprune_copy(const edgeprune_copy_parameters *p, const int8_t *input, int8_t *output,
                    int32_t first_row, int32_t rows);

typedef struct {
    int32_t elements, input_zero_point, output_zero_point, multiplier, shift, clamp_low, clamp_high;
} edgeprune_requantize_parameters;

typedef struct {
    int32_t elements;
    const int8_t *entries; /* what -128, -127, ... 127 become */
} edgeprune_table_parameters;

/* output may be the input. */
void edgeprune_table(const edgeprune_table_parameters *p, const int8_t *input, int8_t *output,
                     int32_t first_element, int32_t elements);

/* output may be the input. */
void edgeprune_requantize(const edgeprune_requantize_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_element, int32_t elements);

#endif
