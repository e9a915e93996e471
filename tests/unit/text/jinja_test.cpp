// SPDX-License-Identifier: Apache-2.0
// Templates against what Jinja 3 itself makes of them, under the settings of transformers.
#include "core/text/jinja.h"

#include <gtest/gtest.h>

namespace rankscope::text
{
namespace
{

const base::Json variables = {
    {"messages", {{{"role", "system"}, {"content", " Be brief. "}}, {{"role", "user"}, {"content", "Hi"}}}},
    {"one", {{"key", "Hi"}}},
    {"flag", true}};

TEST(Jinja, WritesAsJinjaDoes)
{
    for (const auto& [jinja, text] : {
             std::pair{"{{ 1 + 2 }}{{ 'a' ~ 3 }}{% set x = [1,2,3] %}{{ x[-1] }}{{ x|length }}{{ "
                       "x[1:]|join(',') }}",
                       "3a3332,3"},
             {"{%- if not x is defined %}  A\n{%- endif %}  \n  {# c #}\n B {{- ' c ' -}}  d",
              "  A  \n B c d"},
             {"{% for a in messages[::-1] %}\n  {% if loop.first %}\n  {{ a.role | upper }}\n  {% else %}-{{ "
              "loop.index }}{% endif %}\n{% endfor %}\nz\n\n",
              "  USER\n-2z\n"},
             {"{{ 'a.b.c'.split('.')[-1] }} {{ messages[0].nope.x if false else 'q' }} {{ "
              "messages[0]['content'].strip() if messages else raise_exception('x') }}",
              "c q Be brief."},
             {"{% set ns = namespace(a=1) %}{% for m in messages %}{% set ns.a = ns.a + 1 %}{% set b = 2 %}"
              "{% endfor %}{{ ns.a }}{{ b }} {{ none is none }} {{ 'x' in 'xyz' and not 'q' in 'xyz' }}",
              "3 True True"},
             {"{{ flag and 'x' }}{{ undefined_one or 'y' }}{{ nothing and nothing|length }}", "xy"},
             {"{% if false %}{{ 1 / 2 }}{% elif 2 >= 1 and 'a' != \"b\" %}1{% else %}2{% endif %}", "1"},
             {"a  {%- set x = 1 -%}\n\n b{{- '\\n' }}\n", "ab\n"},
             {"{% for k, v in one.items() %}{{ k }}={{ v | replace('H', 'h') }};{% endfor %}", "key=hi;"},
         }) {
        EXPECT_EQ(renderJinja(jinja, variables).value_or("unknown"), text) << jinja;
    }
}

TEST(Jinja, SaysNothingOfWhatItDoesNotKnow)
{
    for (const char* jinja :
         {"{% macro a() %}{% endmacro %}", "{{ raise_exception('no') }}", "{{ strftime_now('%d') }}",
          "{{ 'a' | rot13 }}", "{{ messages | tojson }}", "{{ 1 / 2 }}", "{% if x %}",
          "{% for m in messages if m %}{% endfor %}", "{{ 'a", "{{ a b }}", "{{ }}", "{# ",
          "{% set a.b = 1 %}", "{{ (1, 2) }}", "{{ 1 + 'a' }}", "{% %}"})
        EXPECT_FALSE(renderJinja(jinja, variables)) << jinja;
}

} // namespace
} // namespace rankscope::text
