{# Everything is built in the one schema beside the live marts; publishing moves what is good. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
